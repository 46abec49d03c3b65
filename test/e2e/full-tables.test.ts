/** Tables at their limits: what does not fit is counted, and no close is lost in silence. */
import { expect } from "bun:test";
import { Ledger } from "../integration/ledger.ts";
import { type Exchange, ExchangeServer, until } from "./exchange.ts";
import { sandboxed } from "./sandbox.ts";
import type { Tracer } from "./tracer.ts";

const LIMIT = 100;
const CONNECTIONS = 150;

/** Opens connections, both ends of which are in the tracer's sight. */
async function openMany(server: ExchangeServer): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const exchange = await server.open();
    await exchange.transfer(1000 + i, 2000 + i);
    exchanges.push(exchange);
  }
  return exchanges;
}

async function counters(tracer: Tracer) {
  const { kernel, state } = await tracer.stats();
  return { ...kernel, ...state };
}

sandboxed(
  `${2 * CONNECTIONS} open ends, room for ${LIMIT}: the rest is counted, each close is told`,
  async (sandbox) => {
    const tracer = await sandbox.start(["--max-tracked-connections", String(LIMIT)]);
    const ledger = new Ledger(tracer);
    await ledger.register();
    const server = await ExchangeServer.listen();
    const exchanges = await openMany(server);

    const { conns, connTelemetryMap } = await tracer.fetchConnections("onlooker");
    const tcp = conns.filter(({ type }) => type === "tcp");
    const ours = exchanges.reduce((sum, exchange) => sum + countOpen(exchange, tcp), 0);
    expect(tcp.length).toBeLessThanOrEqual(LIMIT);
    expect(tcp.length).toBeGreaterThan(LIMIT / 2); // connections of others may just have gone
    const refused = 2 * CONNECTIONS - ours;
    expect(connTelemetryMap.tcp_map_full).toBeGreaterThanOrEqual(refused);
    expect((await counters(tracer)).tcp_map_full).toBeGreaterThanOrEqual(refused);

    await Promise.all(exchanges.map((exchange) => exchange.close()));
    server.close();
    const told = () => exchanges.flatMap((exchange) => exchange.told(ledger));
    const wanted = exchanges.flatMap((exchange) => exchange.wanted(1));
    await ledger.collect(() => Bun.deepEquals(told(), wanted), 5_000);
    expect(told()).toEqual(wanted);
    await ledger.fetch();
    expect(ledger.violations).toEqual([]);
    expect(told()).toEqual(wanted);
    const { recovered = 0, adopted = 0 } = await counters(tracer);
    // As others close there is room again, and some get it before they close themselves.
    expect(recovered + adopted).toBeGreaterThanOrEqual(refused);
  },
);

function countOpen(
  exchange: Exchange,
  rows: Awaited<ReturnType<Tracer["fetchConnections"]>>["conns"],
) {
  return exchange.tuples.filter(({ lport, rport }) =>
    rows.some(({ laddr, raddr }) => laddr.port === lport && raddr.port === rport),
  ).length;
}

sandboxed(
  `${2 * CONNECTIONS} closes, room for ${LIMIT}: the oldest are lost, and the client is told how many`,
  async (sandbox) => {
    const tracer = await sandbox.start(["--max-closed-connections", String(LIMIT)]);
    const totals = [await totalClosed(tracer)];
    await tracer.register("late");
    totals.push(await totalClosed(tracer));
    const server = await ExchangeServer.listen();
    const exchanges = await openMany(server);
    for (const exchange of exchanges) await exchange.close();
    server.close();
    await until("all closes have arrived", async () => {
      return (await totalClosed(tracer)) - Math.max(...totals) >= 2 * CONNECTIONS;
    });
    totals.push(await totalClosed(tracer));
    const { conns, connTelemetryMap } = await tracer.fetchConnections("late");
    totals.push(await totalClosed(tracer));

    const closed = conns.filter(({ isClosed }) => isClosed);
    expect(closed).toHaveLength(LIMIT);
    const dropped = connTelemetryMap.closed_conn_dropped ?? 0;
    // Connections of others may close between any two of these requests.
    const [before = 0, registered = 0, asked = 0, after = 0] = totals;
    expect(dropped + LIMIT).toBeGreaterThanOrEqual(asked - registered);
    expect(dropped + LIMIT).toBeLessThanOrEqual(after - before);
    const ports = new Set(closed.map(({ laddr }) => laddr.port));
    const told = exchanges.map(({ tuples: [{ lport }] }) => ports.has(lport));
    expect(told).toEqual(told.toSorted((one, other) => Number(one) - Number(other)));
  },
);

async function totalClosed(tracer: Tracer): Promise<number> {
  return (await counters(tracer)).total_closed ?? 0;
}

sandboxed("a small ring: closes wait in the map, and what is lost is counted", async (sandbox) => {
  const tracer = await sandbox.start(["--ring-bytes", "4096"]);
  const ledger = new Ledger(tracer);
  await ledger.register();
  const server = await ExchangeServer.listen();
  const exchanges = await openMany(server);
  await Promise.all(exchanges.map((exchange) => exchange.close()));
  server.close();
  const told = () => exchanges.flatMap((exchange) => exchange.told(ledger));
  const wanted = exchanges.flatMap((exchange) => exchange.wanted(1));
  await ledger.collect(() => Bun.deepEquals(told(), wanted), 3_000);
  expect(ledger.violations).toEqual([]);
  const { ring_full_closed, close_untold = 0 } = await counters(tracer);
  expect(ring_full_closed).toBeGreaterThan(0);
  const untold = exchanges.filter(
    (exchange) => !Bun.deepEquals(exchange.told(ledger), exchange.wanted(1)),
  );
  expect(untold.length).toBeLessThanOrEqual(close_untold);
});
