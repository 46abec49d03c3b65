/** The commands: what they print, where, and their exit codes. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Connections } from "../../src/model/connection.ts";
import type { TracerStatus } from "../../src/model/status.ts";
import { ExchangeServer, exchangeOnce } from "./exchange.ts";
import { type Outcome, sandboxed, withTracer } from "./sandbox.ts";

const { version } = await Bun.file(join(import.meta.dir, "../../package.json")).json();

const CAPABILITIES = "tcp_life refresh udp udp_drops processes task_walk connect_errors".split(" ");

/** The data of a command that went well and had nothing to complain about. */
function dataOf({ code, stdout, stderr }: Outcome): string {
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toEndWith("\n");
  return stdout;
}

withTracer("beside a running Portolan", [], ({ sandbox, tracer }) => {
  const portolan = async (...words: string[]) =>
    dataOf(await sandbox().run([...words, "--listen", `unix:${sandbox().socket}`]));

  test("debug-dump: one document with all sections, of the running one", async () => {
    const server = await ExchangeServer.listen();
    const exchange = await server.open();
    await exchange.transfer(321, 123);
    await tracer().fetchConnections("dump");
    const started = performance.now();
    const text = await portolan("--debug-dump", "--client-id", "dump");
    expect(performance.now() - started).toBeLessThan(1_500); // it doesn't trace for itself, which takes 2 s
    const dump = JSON.parse(text);
    expect(Object.keys(dump)).toEqual([
      ...["status", "netMaps", "netState", "stats", "processCache", "tables"],
    ]);
    const { startedAt } = await tracer().json<TracerStatus>("/debug/status");
    expect(dump.status.startedAt).toBe(startedAt);
    const names = (tables: TracerStatus["tables"]) => tables.map(({ name }) => name);
    expect(names(dump.tables)).toEqual(names(dump.status.tables));
    const [{ lport, rport }] = exchange.tuples;
    const row = (dump.netMaps as Connections).conns.find(
      ({ laddr, raddr }) => laddr.port === lport && raddr.port === rport,
    );
    expect(row).toMatchObject({ monotonicBytesSent: 321, monotonicBytesReceived: 123 });
    expect(dump.netState[row?.cookie ?? ""]).toMatchObject({ total_sent: 321, total_recv: 123 });
    const pids = dump.processCache.map((entry: { pid: number }) => entry.pid);
    expect(pids).toContain(process.pid);
    expect(dump.stats.kernel).toMatchObject({ tcp_map_full: 0, close_untold: 0 });
    await exchange.close();
    server.close();
  });

  test("debug-dump --section: these and no other, in the order of the whole", async () => {
    const several = JSON.parse(await portolan("debug-dump", "--section", "tables", "stats"));
    expect(Object.keys(several)).toEqual(["stats", "tables"]);
    const repeated = ["--section", "status", "--section", "processCache"];
    const two = JSON.parse(await portolan("--debug-dump", ...repeated));
    expect(Object.keys(two)).toEqual(["status", "processCache"]);
  });

  test("connections: a table, a JSON document, and a client's changes", async () => {
    const server = await ExchangeServer.listen();
    const exchange = await server.open();
    await exchange.transfer(5 * 1024, 1);
    const [{ lport, rport }] = exchange.tuples;
    const [head, ...lines] = (await portolan("connections")).trimEnd().split("\n");
    expect(head?.split(/ {2,}/)).toEqual([
      ...["TYPE", "DIR", "LOCAL", "REMOTE", "PROCESS", "SENT", "RECEIVED", "RTT", "STATE"],
    ]);
    const addresses = new RegExp(` 127\\.0\\.0\\.1:${lport} +127\\.0\\.0\\.1:${rport} `);
    const line = lines.find((one) => addresses.test(one));
    expect(line?.split(/ {2,}/)).toEqual([
      ...["tcp", "out", `127.0.0.1:${lport}`, `127.0.0.1:${rport}`],
      ...[expect.stringMatching(new RegExp(`^${process.pid}/`)), "5.0 KiB", "1 B"],
      ...[expect.stringMatching(/^[\d.]+ ms$/), "open"],
    ]);

    const find = ({ conns }: Connections) => conns.filter(({ laddr }) => laddr.port === lport);
    const ask = async (client: string): Promise<Connections> =>
      JSON.parse(
        await portolan("connections", "--json", ...(client ? ["--client-id", client] : [])),
      );
    expect(find(await ask(""))).toMatchObject([{ monotonicBytesSent: 5120, isClosed: false }]);
    expect(find(await ask("cli"))).toMatchObject([{ lastBytesSent: 5120 }]);
    await exchange.transfer(80, 0);
    await exchange.close();
    server.close();
    await Bun.sleep(100);
    expect(find(await ask("cli"))).toMatchObject([{ lastBytesSent: 80, isClosed: true }]);
    expect(find(await ask("cli"))).toEqual([]);
    expect(find(await ask(""))).toEqual([]);
  });

  test("connections --json --watch: a document a line, until it is told to stop", async () => {
    const argv = ["timeout", "--signal=INT", "--preserve-status", "3"];
    const words = ["connections", "--json", "--watch", "--listen", `unix:${sandbox().socket}`];
    const lines = dataOf(await sandbox().run(words, { within: argv }))
      .trimEnd()
      .split("\n");
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ conns: expect.anything() });
  });

  test("a reader that has enough is no error", async () => {
    const shell = 'set -o pipefail; "$@" | head -c 1; echo " $?"';
    const within = ["bash", "-c", shell, "bash"];
    const words = ["debug-dump", "--listen", `unix:${sandbox().socket}`];
    expect(await sandbox().run(words, { within })).toEqual({
      ...{ code: 0, stdout: "{ 0\n", stderr: "" },
    });
  });

  test("the tracer itself writes no data, and one line for each event", () => {
    expect(tracer().stdout).toBe("");
    const [greeting, hint, ...rest] = tracer().stderr.trimEnd().split("\n").slice(-2);
    expect([greeting, hint, rest]).toEqual([
      `Portolan ${version} traces this host and answers at unix:${sandbox().socket}`,
      `Try: curl -s --unix-socket ${sandbox().socket} http://localhost/connections`,
      [],
    ]);
  });
});

describe("with no Portolan running", () => {
  sandboxed("debug-dump traces for a while by itself", async (sandbox) => {
    const listen = ["--listen", `unix:${sandbox.socket}`];
    const started = performance.now();
    const running = sandbox.run(["--debug-dump", "--duration", "1", ...listen]);
    const server = await ExchangeServer.listen();
    await Bun.sleep(600);
    const exchange = await server.open();
    await exchange.transfer(999, 111);
    const dump = JSON.parse(dataOf(await running));
    const elapsed = performance.now() - started;
    expect(elapsed).toBeGreaterThan(1_000);
    expect(elapsed).toBeLessThan(4_000);
    const [{ lport }] = exchange.tuples;
    expect(
      (dump.netMaps as Connections).conns.find(({ laddr }) => laddr.port === lport),
    ).toMatchObject({ monotonicBytesSent: 999, monotonicBytesReceived: 111 });
    expect(dump.netState).toBeNull();
    await exchange.close();
    server.close();
  });

  sandboxed("connections says that there is none", async (sandbox) => {
    expect(await sandbox.run(["connections", "--listen", `unix:${sandbox.socket}`])).toEqual({
      code: 1,
      stdout: "",
      stderr: `portolan: ask unix:${sandbox.socket}: no Portolan is running there, start one with: portolan run\n`,
    });
  });

  sandboxed("check: each capability, its rung, and whether tracing works", async (sandbox) => {
    const text = dataOf(await sandbox.run(["check"]));
    const names = [...text.matchAll(/^(\w+): \S+ \(.+\)$/gm)].map(([, name]) => name);
    expect(names).toEqual(CAPABILITIES);
    expect(text).toContain("connect_errors: off");
    const status: TracerStatus = JSON.parse(dataOf(await sandbox.run(["check", "--json"])));
    expect(status).toMatchObject({ version });
    expect(status.capabilities.map(({ name }) => name)).toEqual(CAPABILITIES);

    const all = dataOf(await sandbox.run(["check", "--connect-errors"]));
    expect(all).toContain("connect_errors: tracepoint");
    const off = dataOf(await sandbox.run(["check", "--udp-enabled=false"]));
    expect(off).toContain("udp: off");
  });

  sandboxed("a family that tracing has no rung of", async (sandbox) => {
    const { code, stdout, stderr } = await sandbox.run(["check", "--attach", "kprobe"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^portolan: start the tracer: attach tcp_life: .*kprobe\n$/);
  });
});

describe("help, version and wrong usage", () => {
  sandboxed("what is asked for goes to stdout", async (sandbox) => {
    expect(dataOf(await sandbox.run(["--version"]))).toBe(`${version}\n`);
    const help = dataOf(await sandbox.run(["--help"]));
    expect(await sandbox.run(["-h"])).toEqual(await sandbox.run(["--help"]));
    for (const command of ["run", "debug-dump", "connections", "check"]) {
      expect(help).toMatch(new RegExp(`^  ${command} +\\w`, "m"));
      const text = dataOf(await sandbox.run([command, "--help"]));
      expect(text).toStartWith(`usage: portolan ${command} `);
      expect(text).toContain("--listen ADDRESS");
    }
  });

  sandboxed("wrong usage: exit code 2, the word and the usage on stderr", async (sandbox) => {
    const cases: [words: string[], complaint: string][] = [
      [["--no-such-flag"], 'read "--no-such-flag": there is no such flag'],
      [["run", "stray"], 'read "stray": there is no such argument'],
      [["trace"], 'run "trace": no such command, expected one of run, debug-dump,'],
      [["check", "--watch"], 'read "--watch": there is no such flag'],
      [["run", "--listen"], "read --listen: it needs a value: unix:/PATH or ADDRESS:PORT"],
      [["run", "--listen", "localhost:80"], 'read --listen: "localhost:80" is not valid, expected'],
      [["run", "--listen", "127.0.0.1:65536"], 'read --listen: "127.0.0.1:65536" is not valid'],
      [["run", "--listen", "unix:relative"], 'read --listen: "unix:relative" is not valid'],
      [["run", "--listen", `unix:/${"x".repeat(107)}`], "is not valid, expected unix:/PATH"],
      [["run", "--listen", "::1:80"], 'read --listen: "::1:80" is not valid'],
      [["debug-dump", "--section", "nothing"], 'read --section: "nothing" is not valid'],
      [["debug-dump", "--duration", "long"], 'read --duration: "long" is not valid'],
      [["run", "--max-tracked-connections", "0"], "0 is not valid, expected"],
    ];
    for (const [words, complaint] of cases) {
      const { code, stdout, stderr } = await sandbox.run(words);
      expect({ words, code, stdout }).toEqual({ words, code: 2, stdout: "" });
      expect(stderr).toContain(complaint);
      expect(stderr).toMatch(/^portolan: .*\nusage: portolan .*\n$/);
    }
  });

  sandboxed("other failures: exit code 1, and no usage", async (sandbox) => {
    const cases: [words: string[], environment: Record<string, string>, complaint: string][] = [
      [["run"], { PORTOLAN_NO_SUCH: "1" }, 'PORTOLAN_NO_SUCH="1": there is no such key'],
      [["run"], { PORTOLAN_LISTEN: "here" }, 'read PORTOLAN_LISTEN: "here" is not valid'],
      [["run", "--config", sandbox.path("none.yaml")], {}, "none.yaml"],
      [["run", "--listen", "203.0.113.7:80"], {}, "203.0.113.7:80: this host has no such address"],
      [
        ["run", "--listen", `unix:${sandbox.path("logs")}`],
        {},
        "there is a file that is no socket",
      ],
    ];
    for (const [words, environment, complaint] of cases) {
      const { code, stdout, stderr } = await sandbox.run(words, { environment });
      expect({ words, code, stdout }).toEqual({ words, code: 1, stdout: "" });
      expect(stderr).toContain(complaint);
      expect(stderr).not.toContain("usage:");
    }
  });
});

sandboxed("the configuration in a file and in the environment", async (sandbox) => {
  const file = sandbox.path("portolan.yaml");
  await Bun.write(file, "udp: {enabled: false}\nmax_tracked_connections: 1234\n");
  const tracer = await sandbox.start(["--config", file], {
    environment: { PORTOLAN_MAX_TRACKED_CONNECTIONS: "2345" },
  });
  const { capabilities, tables } = await tracer.json<TracerStatus>("/debug/status");
  expect(capabilities.find(({ name }) => name === "udp")?.rungs).toEqual([
    expect.objectContaining({ state: "off", reason: "UDP is switched off" }),
  ]);
  expect(tables.find(({ name }) => name === "tcp_conns")?.capacity).toBe(2345);
  await exchangeOnce(1, 1);
});
