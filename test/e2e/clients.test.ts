/** Several clients of one tracer, each of which learns everything exactly once. */
import { expect, test } from "bun:test";
import { Ledger } from "../integration/ledger.ts";
import { ExchangeServer, exchangeOnce } from "./exchange.ts";
import { sandboxed, withTracer } from "./sandbox.ts";

withTracer("clients", [], ({ tracer }) => {
  test("who registers later learns later: each its own share, once", async () => {
    const early = new Ledger(tracer(), "early");
    const late = new Ledger(tracer(), "late");
    await early.register();
    const before = await exchangeOnce(11, 22);
    const server = await ExchangeServer.listen();
    const exchange = await server.open();
    await exchange.transfer(100, 1000);
    expect(await exchange.settle(early, 0)).toEqual(exchange.wanted(0));
    expect(await before.settle(early, 1)).toEqual(before.wanted(1));

    await exchange.transfer(20, 200);
    // The first fetch of a client tells what is open with all that it has ever counted.
    expect(await exchange.settle(late, 0)).toEqual(exchange.wanted(0));
    expect(before.told(late)).toEqual([]);

    await exchange.transfer(3, 30);
    expect(await exchange.settle(late, 0)).toEqual(exchange.wanted(0));
    await exchange.transfer(1, 1);
    await exchange.close();
    server.close();
    expect(await exchange.settle(late, 1)).toEqual(exchange.wanted(1));
    // Three transfers and the close in one fetch.
    expect(await exchange.settle(early, 1)).toEqual(exchange.wanted(1));

    for (const ledger of [early, late]) {
      await ledger.fetch();
      await ledger.fetch();
      expect(ledger.violations).toEqual([]);
      expect(exchange.told(ledger)).toEqual(exchange.wanted(1));
    }
  });

  test("what closed between registration and the first fetch is told", async () => {
    const ledger = new Ledger(tracer(), "registered");
    await ledger.register();
    const exchanges = [
      await exchangeOnce(1, 2),
      await exchangeOnce(3, 4),
      await exchangeOnce(5, 6),
    ];
    await Bun.sleep(100);
    await ledger.fetch();
    for (const exchange of exchanges) {
      expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
    }
    expect(ledger.violations).toEqual([]);
  });

  test("the state that is kept for a client", async () => {
    const server = await ExchangeServer.listen();
    const exchange = await server.open();
    await exchange.transfer(77, 7);
    const ledger = new Ledger(tracer(), "kept");
    expect(await tracer().json("/debug/net_state?client_id=kept")).toBeNull();
    await exchange.settle(ledger, 0);
    const [tuple] = exchange.tuples;
    const cookie = ledger.find(tuple)[0]?.row.cookie ?? "";
    const state = await tracer().json<Record<string, object>>("/debug/net_state?client_id=kept");
    expect(state[cookie]).toMatchObject({
      total_sent: 77,
      total_recv: 7,
      total_tcp_established: 1,
    });
    await exchange.close();
    server.close();
    await exchange.settle(ledger, 1);
    const after = await tracer().json<Record<string, object>>("/debug/net_state?client_id=kept");
    expect(after[cookie]).toBeUndefined();
  });

  test("/debug/net_maps takes nothing from anybody", async () => {
    const ledger = new Ledger(tracer(), "undisturbed");
    await ledger.register();
    const server = await ExchangeServer.listen();
    const exchange = await server.open();
    await exchange.transfer(40, 50);
    for (let i = 0; i < 3; i++) await tracer().json("/debug/net_maps");
    expect(await exchange.settle(ledger, 0)).toEqual(exchange.wanted(0));
    await exchange.close();
    server.close();
    expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
  });

  test("two requests of one client at once share what there is", async () => {
    const ledger = new Ledger(tracer(), "twice");
    await ledger.register();
    const exchange = await exchangeOnce(600, 6);
    await Bun.sleep(100);
    await Promise.all([ledger.fetch(), ledger.fetch()]);
    expect(exchange.told(ledger)).toEqual(exchange.wanted(1));
    expect(ledger.violations).toEqual([]);
  });
});

sandboxed("a client that stays away is forgotten, and begins anew", async (sandbox) => {
  const tracer = await sandbox.start(["--client-expiry", "1"]);
  const ledger = new Ledger(tracer, "sleepy");
  await ledger.register();
  await Bun.sleep(2_500);
  const { clients, clients_expired } = (await tracer.stats()).state;
  expect({ clients, clients_expired }).toEqual({ clients: 0, clients_expired: 1 });
  const missed = await exchangeOnce(9, 9);
  await Bun.sleep(100);
  await ledger.fetch();
  expect(missed.told(ledger)).toEqual([]);
  const exchange = await exchangeOnce(8, 8);
  expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
});
