/** Two tracers on one host. */
import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { Ledger } from "../integration/ledger.ts";
import { exchangeOnce, freePort } from "./exchange.ts";
import { sandboxed } from "./sandbox.ts";

sandboxed("the same socket: the second says so and ends, the first goes on", async (sandbox) => {
  const first = await sandbox.start();
  const second = await sandbox.run(["run", "--listen", `unix:${sandbox.socket}`]);
  expect(second).toEqual({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^portolan: .*another Portolan is running on \S+\n$/),
  });
  expect(second.stderr).toContain(sandbox.socket);

  const ledger = new Ledger(first);
  await ledger.register();
  const exchange = await exchangeOnce(500, 900);
  expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
});

sandboxed("the same TCP port: the second names it and takes its socket back", async (sandbox) => {
  const address = `127.0.0.1:${freePort()}`;
  const first = await sandbox.start(["--listen", address]);
  const other = sandbox.path("other/portolan.sock");
  const words = ["run", "--listen", `unix:${other}`, "--listen", address];
  const second = await sandbox.run(words);
  expect({ code: second.code, stdout: second.stdout }).toEqual({ code: 1, stdout: "" });
  expect(second.stderr).toContain(
    `portolan: listen on ${address}: the address is taken by another process\n`,
  );
  expect(existsSync(sandbox.path("other"))).toBe(false);
  expect((await first.get("/health")).status).toBe(200);
  expect((await fetch(`http://${address}/health`)).status).toBe(200);
});

sandboxed("other sockets: both tell exactly the same", async (sandbox) => {
  const [one, other] = await Promise.all([
    sandbox.start(["--listen", `127.0.0.1:${freePort()}`]),
    sandbox.start(["--listen", `127.0.0.1:${freePort()}`], {
      socket: sandbox.path("other/portolan.sock"),
    }),
  ]);
  const ledgers = [new Ledger(one), new Ledger(other)];
  await Promise.all(ledgers.map((ledger) => ledger.register()));
  const exchange = await exchangeOnce(123_456, 654_321);
  const told = await Promise.all(ledgers.map((ledger) => exchange.settle(ledger, 1)));
  expect(told).toEqual([exchange.wanted(1), exchange.wanted(1)]);
  expect(ledgers.flatMap(({ violations }) => violations)).toEqual([]);

  // The end of one doesn't disturb the other.
  expect(await one.stop()).toBe(0);
  const [, ledger] = ledgers;
  const later = await exchangeOnce(10, 20);
  expect(ledger && (await later.settle(ledger, 1))).toEqual(later.wanted(1));
});
