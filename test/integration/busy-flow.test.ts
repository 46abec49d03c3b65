/** A UDP flow that is busy while it is asked for: one flow, and every datagram once. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Connection } from "../../src/model/connection.ts";
import { Portolan } from "./portolan.ts";

const CLIENT = "busy";
const ROUNDS = 50_000;

/** Two sockets of one process that send a datagram to each other in turn, so that none is ever dropped. */
const PING_PONG = `
import socket
a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0))
a.connect(b.getsockname()); b.connect(a.getsockname())
for _ in range(${ROUNDS}):
    a.send(b"ping!"); b.recv(64); b.send(b"pong"); a.recv(64)
`;

let portolan: Portolan;

beforeAll(async () => {
  portolan = await Portolan.start();
}, 30_000);

afterAll(async () => {
  expect(await portolan.stop()).toBe(0);
}, 30_000);

test("stays one flow at each end, told without gap or repetition", async () => {
  await portolan.register(CLIENT);
  const child = Bun.spawn(["python3", "-c", PING_PONG], { stdin: "ignore" });
  const rows: Connection[] = [];
  let fetches = 0;
  const take = async () => {
    const { conns } = await portolan.fetchConnections(CLIENT);
    rows.push(...conns.filter(({ pid, type }) => pid === child.pid && type === "udp"));
    fetches++;
  };
  while (child.exitCode === null) await take();
  expect(child.exitCode).toBe(0);
  while (rows.filter(({ isClosed }) => isClosed).length < 2) await take();
  await take();

  expect(fetches).toBeGreaterThan(50);
  const flows = new Map<string, Connection[]>();
  for (const row of rows) flows.set(row.cookie, [...(flows.get(row.cookie) ?? []), row]);
  const sums = [...flows.values()].map((told) => ({
    sent: told.reduce((sum, { lastBytesSent }) => sum + lastBytesSent, 0),
    received: told.reduce((sum, { lastBytesReceived }) => sum + lastBytesReceived, 0),
    packets: told.reduce((sum, { lastPacketsSent }) => sum + lastPacketsSent, 0),
    closed: told.filter(({ isClosed }) => isClosed).length,
  }));
  expect(sums.sort((a, b) => b.sent - a.sent)).toEqual([
    { sent: 5 * ROUNDS, received: 4 * ROUNDS, packets: ROUNDS, closed: 1 },
    { sent: 4 * ROUNDS, received: 5 * ROUNDS, packets: ROUNDS, closed: 1 },
  ]);
}, 60_000);
