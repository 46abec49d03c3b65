/** Tables at their limits: what does not fit is counted, and no close is lost in silence. */
import { expect } from "bun:test";
import { Ledger } from "../integration/ledger.ts";
import { type Exchange, ExchangeServer } from "./exchange.ts";
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
    expect(ours).toBeGreaterThan(LIMIT / 2); // others on this host may have some of the room
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
    const ledger = new Ledger(tracer);
    await ledger.register();
    const server = await ExchangeServer.listen();
    const exchanges = await openMany(server);
    for (const exchange of exchanges) await exchange.close();
    server.close();
    await Bun.sleep(200);
    const { total_closed = 0 } = await counters(tracer);
    expect(total_closed).toBeGreaterThanOrEqual(2 * CONNECTIONS);
    const { conns, connTelemetryMap } = await tracer.fetchConnections("ledger");
    const closed = conns.filter(({ isClosed }) => isClosed);
    expect(closed).toHaveLength(LIMIT);
    const dropped = connTelemetryMap.closed_conn_dropped ?? 0;
    expect(dropped).toBeGreaterThanOrEqual(2 * CONNECTIONS - LIMIT);
    // Connections of others close between these requests.
    expect(dropped + LIMIT).toBeWithin(total_closed, (await counters(tracer)).total_closed + 1);
    // The newest is there.
    const newest = exchanges.at(-1)?.tuples.map(({ lport }) => lport) ?? [];
    const ports = closed.map(({ laddr }) => laddr.port);
    for (const port of newest) expect(ports).toContain(port);
  },
);

sandboxed("a small ring: closes wait in the map and are told all the same", async (sandbox) => {
  const tracer = await sandbox.start(["--ring-bytes", "4096"]);
  const ledger = new Ledger(tracer);
  await ledger.register();
  const server = await ExchangeServer.listen();
  const exchanges = await openMany(server);
  await Promise.all(exchanges.map((exchange) => exchange.close()));
  server.close();
  const told = () => exchanges.flatMap((exchange) => exchange.told(ledger));
  const wanted = exchanges.flatMap((exchange) => exchange.wanted(1));
  await ledger.collect(() => Bun.deepEquals(told(), wanted), 5_000);
  expect(told()).toEqual(wanted);
  expect(ledger.violations).toEqual([]);
  expect((await counters(tracer)).ring_full_closed).toBeGreaterThan(0);
});
