/** `portolan run` from its first line to its last, well ended and not. */
import { expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import type { Connection } from "../../src/model/connection.ts";
import { Ledger } from "../integration/ledger.ts";
import { command, Namespace } from "../integration/namespaces.ts";
import { ExchangeServer, exchangeOnce } from "./exchange.ts";
import { leftBehind, takeInventory } from "./leftovers.ts";
import { sandboxed } from "./sandbox.ts";

/** The first row in what `sed` has broken into one row a line. */
function rowIn(line: string): Connection {
  const start = line.indexOf('{"pid":');
  let depth = 0;
  for (let at = start; at < line.length; at++) {
    if (line[at] === "{") depth++;
    if (line[at] === "}" && --depth === 0) return JSON.parse(line.slice(start, at + 1));
  }
  throw new Error(`no row in ${line}`);
}

sandboxed(
  "the default listeners, and the curl that is printed, which sees itself",
  async (sandbox) => {
    const namespace = await Namespace.create("e2e");
    const within = ["nsenter", `--net=${namespace.path}`];
    try {
      const tracer = await sandbox.startAsIs([], {
        within,
        environment: { PORTOLAN_RUNTIME_DIR: sandbox.path("run") },
        reach: () => sandbox.socket,
      });
      expect(tracer.stderr).toContain(
        `answers at unix:${sandbox.socket} and http://127.0.0.1:7373\n`,
      );
      const line = /^Try: (curl .*)$/m.exec(tracer.stderr)?.[1] ?? "";
      const shell = Bun.spawn([...within, "sh", "-c", line], { stdout: "pipe" });
      const output = await Bun.readableStreamToText(shell.stdout);
      const url = /http:\S+/.exec(line)?.[0] ?? "";
      const size = Number(
        await namespace.run("curl", "-s", "-o", "/dev/null", "-w", "%{size_request}", url),
      );
      expect(size).toBeGreaterThan(50);

      // The pipe may catch the curls of other people, but of this shell there is one.
      const rows = output.trim().split("\n").map(rowIn);
      const own = rows.filter(({ process }) => process?.ppid === shell.pid);
      expect(own).toEqual([
        expect.objectContaining({
          netNS: await namespace.inode(),
          type: "tcp",
          direction: "outgoing",
          laddr: expect.objectContaining({ ip: "127.0.0.1" }),
          raddr: expect.objectContaining({ ip: "127.0.0.1", port: 7373 }),
          lastBytesSent: size,
          monotonicBytesSent: size,
          lastBytesReceived: 0,
          isClosed: false,
          process: expect.objectContaining({ comm: "curl" }),
        }),
      ]);
      expect(tracer.stdout).toBe("");
      expect(await tracer.stop()).toBe(0);
    } finally {
      await namespace.remove();
    }
  },
);

sandboxed("a curl is told with its pid, its bytes both ways and its end", async (sandbox) => {
  const namespace = await Namespace.create("e2e");
  try {
    const within = ["nsenter", `--net=${namespace.path}`];
    const tracer = await sandbox.start(["--listen", "127.0.0.1:80"], { within });
    const ledger = new Ledger(tracer);
    await ledger.register();
    const sizes = "%{size_request} %{size_header} %{size_download} %{local_port}";
    const argv = ["curl", "-s", "-o", "/dev/null", "-w", sizes, "http://127.0.0.1/debug/stats"];
    const curl = Bun.spawn([...within, ...argv], { stdout: "pipe" });
    const text = await Bun.readableStreamToText(curl.stdout);
    const [request = 0, header = 0, body = 0, port = 0] = text.split(" ").map(Number);
    const netns = await namespace.inode();
    const address = { type: "tcp", netns, laddr: "127.0.0.1", raddr: "127.0.0.1" };
    const find = (lport: number, rport: number) => ledger.find({ ...address, lport, rport });
    const ends = () => [...find(port, 80), ...find(80, port)];
    await ledger.collect(() => ends().filter((one) => one.timesClosed > 0).length === 2, 3_000);
    expect(
      ends().map(({ row: { pid, direction, process }, sums, timesClosed }) => {
        const { bytesSent, bytesReceived } = sums;
        return { pid, direction, comm: process?.comm, bytesSent, bytesReceived, timesClosed };
      }),
    ).toEqual([
      {
        ...{ pid: curl.pid, direction: "outgoing", comm: "curl", timesClosed: 1 },
        ...{ bytesSent: request, bytesReceived: header + body },
      },
      // Portolan's own end is like any other.
      {
        ...{ pid: tracer.pid, direction: "incoming", comm: "portolan", timesClosed: 1 },
        ...{ bytesSent: header + body, bytesReceived: request },
      },
    ]);
  } finally {
    await namespace.remove();
  }
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  sandboxed(`${signal}: exit code 0 and nothing left`, async (sandbox) => {
    const before = await takeInventory();
    const tracer = await sandbox.start();
    expect(statSync(sandbox.socket).mode & 0o777).toBe(0o660);
    expect(statSync(sandbox.path("run")).mode & 0o777).toBe(0o750);
    expect((await takeInventory()).size).toBeGreaterThan(before.size);
    expect(await tracer.stop(signal)).toBe(0);
    expect(existsSync(sandbox.path("run"))).toBe(false);
    expect(await leftBehind(before)).toEqual([]);
  });
}

sandboxed(
  "kill -9: nothing left in the kernel, and the next one takes over the socket",
  async (sandbox) => {
    const before = await takeInventory();
    const killed = await sandbox.start();
    await killed.kill();
    expect(await leftBehind(before)).toEqual([]);
    expect(existsSync(sandbox.socket)).toBe(true);

    const next = await sandbox.start();
    const ledger = new Ledger(next);
    await ledger.register();
    const exchange = await exchangeOnce(700, 300);
    expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
    expect(await next.stop()).toBe(0);
    // The directory stays, as it was there when this one came.
    expect(existsSync(sandbox.socket)).toBe(false);
    await command("rmdir", sandbox.path("run"));
  },
);

sandboxed("two signals and a request under way: still an orderly end", async (sandbox) => {
  const tracer = await sandbox.start();
  const server = await ExchangeServer.listen();
  const exchange = await server.open();
  const answer = tracer.get("/debug/net_maps").then(
    (response) => response.text(),
    () => "cut off",
  );
  const [code] = await Promise.all([tracer.stop("SIGINT"), tracer.stop("SIGTERM"), answer]);
  expect(code).toBe(0);
  await exchange.close();
  server.close();
});

sandboxed("a signal at any moment of the start: it ends, and nothing stays", async (sandbox) => {
  for (const seconds of [0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2]) {
    const within = ["timeout", "--preserve-status", String(seconds)];
    const words = ["run", "--listen", `unix:${sandbox.socket}`];
    const { code, stdout } = await sandbox.run(words, { within });
    // Until it has installed its handlers the signal itself ends it, which the shell tells as 128 + 15.
    expect([0, 143]).toContain(code ?? 0);
    expect(stdout).toBe("");
    expect(existsSync(sandbox.path("run"))).toBe(false);
  }
});

test("the sandbox notices what is left behind", async () => {
  expect(await leftBehind(new Set(), 0)).not.toEqual([]);
});
