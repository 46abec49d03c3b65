/** Short connections as fast as they come: each told once, to the byte. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Connection } from "../../src/model/connection.ts";
import { Namespace } from "./namespaces.ts";
import { Portolan } from "./portolan.ts";
import { Traffic } from "./traffic.ts";

const CLIENT = "load";
const FETCH_EVERY_MS = 200;
const SOURCES = 16;

/** As in traffic/load.c: what a connection carries follows from the client's port. */
const requestSize = (clientPort: number) => 64 + (clientPort % 128);
const replySize = (clientPort: number) => 512 + (clientPort % 512);

/** What is known of the rows of one end, without keeping them. */
class Tally {
  closed = 0;
  sent = 0;
  received = 0;
  /** Told as closed, but not with what its port says it carried. */
  inexact = 0;
  wrongOwner = 0;
}

let namespace: Namespace;
let portolan: Portolan;
let inode: number;

beforeAll(async () => {
  namespace = await Namespace.create(`ptest-${process.pid}-load`);
  inode = await namespace.inode();
  portolan = await Portolan.start();
  await portolan.register(CLIENT);
}, 60_000);

afterAll(async () => {
  const code = await portolan.stop();
  await namespace.remove();
  expect(code).toBe(0);
}, 30_000);

/** Makes `total` connections, `atOnce` at a time, and answers what was told and what was true. */
async function load(total: number, atOnce: number) {
  const server = await Traffic.start(namespace, "load", "server 127.0.0.1:0");
  const { port, pid: serverPid } = await server.until("listening");
  const target = `client 127.0.0.1:${port} ${total} ${atOnce} ${SOURCES}`;
  const client = await Traffic.start(namespace, "load", target);

  const seen = new Set<string>();
  const tallies = { outgoing: new Tally(), incoming: new Tally() };
  let duplicates = 0;
  const samples: any[] = [];
  const bytes = new Map<string, { sent: number; received: number }>();

  const book = (row: Connection): void => {
    if (row.netNS !== inode || row.type !== "tcp") return;
    const told = bytes.get(row.cookie) ?? { sent: 0, received: 0 };
    told.sent += row.lastBytesSent;
    told.received += row.lastBytesReceived;
    if (seen.has(row.cookie)) duplicates++;
    if (!row.isClosed) {
      bytes.set(row.cookie, told);
      return;
    }
    bytes.delete(row.cookie);
    seen.add(row.cookie);
    const isServer = row.laddr.port === port;
    const clientPort = isServer ? row.raddr.port : row.laddr.port;
    const [up, down] = [requestSize(clientPort), replySize(clientPort)];
    const [sent, received] = isServer ? [down, up] : [up, down];
    const tally = isServer ? tallies.incoming : tallies.outgoing;
    tally.closed++;
    tally.sent += told.sent;
    tally.received += told.received;
    if (told.sent !== sent || told.received !== received) { tally.inexact++; samples.push({ told, sent, received, row, stateOk: told.sent === row.monotonicBytesSent }); }
    if (row.pid !== (isServer ? serverPid : client.pid)) tally.wrongOwner++;
  };

  let over = false;
  const finished = client.load().finally(() => {
    over = true;
  });
  while (!over) {
    await Promise.race([finished, Bun.sleep(FETCH_EVERY_MS)]);
    for (const row of (await portolan.fetchConnections(CLIENT)).conns) book(row);
  }
  server.stop();
  const truth = { client: await finished, server: await server.load() };

  // What is still on its way: the last ring contents, and what a sweep has to find.
  for (let quiet = 0; quiet < 5; ) {
    await Bun.sleep(FETCH_EVERY_MS);
    const before = seen.size;
    for (const row of (await portolan.fetchConnections(CLIENT)).conns) book(row);
    quiet = seen.size === before ? quiet + 1 : 0;
  }
  return { truth, ...tallies, duplicates, leftOpen: bytes.size, samples };
}

test("142,000 connections by 64 clients at once: each told once, sums equal to the byte", async () => {
  const total = 142_000;
  const told = await load(total, 64);
  expect(told.truth.client.connections).toBe(total);
  expect(told).toMatchObject({
    outgoing: {
      closed: total,
      sent: told.truth.client.sent,
      received: told.truth.client.received,
      inexact: 0,
      wrongOwner: 0,
    },
    incoming: {
      closed: total,
      sent: told.truth.server.sent,
      received: told.truth.server.received,
      inexact: 0,
      wrongOwner: 0,
    },
    duplicates: 0,
    leftOpen: 0,
  });
}, 120_000);

test("2K at once", async () => {
  const total = 40_000;
  const told = await load(total, 2000);
  const groups: Record<string, number> = {};
  for (const x of told.samples) { const k = `${x.row.direction} sentdiff ${x.told.sent === x.sent ? 0 : x.told.sent > x.sent ? "+" : x.told.sent === 0 ? "none" : "-"} recvdiff ${x.told.received === x.received ? 0 : x.told.received > x.received ? "+" : x.told.received === 0 ? "none" : "-"} state ${x.stateOk} ps ${x.row.monotonicPacketsSent} pr ${x.row.monotonicPacketsReceived} rtx ${x.row.monotonicRetransmits} rto ${x.row.lastTcpRtoCount} dur ${x.row.duration > 0}`; groups[k] = (groups[k] ?? 0) + 1; }
  console.log(groups, JSON.stringify(told.samples.slice(0, 3)));
  told.samples = [];
  console.log(JSON.stringify(told), JSON.stringify(await portolan.stats()), JSON.stringify((await portolan.status()).programs));
}, 120_000);
