/** The checker itself: it must find each thing that can be wrong. */
import { expect, test } from "bun:test";
import type { Connection } from "../../src/model/connection.ts";
import { differences, type Expectation, expectation } from "./expectation.ts";
import { Ledger } from "./ledger.ts";
import { PROGRAM_NAME, type SocketReport } from "./traffic.ts";

const report: SocketReport = {
  event: "end",
  type: "tcp",
  direction: "outgoing",
  pid: 42,
  netns: 7,
  laddr: "::ffff:10.0.0.1",
  lport: 1000,
  raddr: "::ffff:10.0.0.2",
  rport: 80,
  sent: 500,
  received: 60,
  packetsSent: 5,
  packetsReceived: 4,
  retransmits: 1,
  established: true,
  errno: 104,
  final: true,
};

const closed: Connection = {
  pid: 42,
  netNS: 7,
  laddr: { ip: "10.0.0.1", port: 1000, containerId: "" },
  raddr: { ip: "10.0.0.2", port: 80, containerId: "" },
  family: "v4",
  type: "tcp",
  direction: "outgoing",
  isLocalPortEphemeral: "ephemeralFalse",
  intraHost: false,
  lastBytesSent: 500,
  lastBytesReceived: 60,
  lastPacketsSent: 5,
  lastPacketsReceived: 4,
  lastRetransmits: 1,
  lastTcpEstablished: 1,
  lastTcpClosed: 1,
  monotonicBytesSent: 500,
  monotonicBytesReceived: 60,
  monotonicPacketsSent: 5,
  monotonicPacketsReceived: 4,
  monotonicRetransmits: 1,
  tcpFailuresByErrCode: { "104": 1 },
  routeIdx: -1,
  protocol: { stack: [] },
  isClosed: true,
  duration: 1,
  lastUpdate: 1,
  cookie: "1",
  process: { comm: PROGRAM_NAME, exe: "", ppid: 1, uid: 0, startTime: 0 },
  tags: [],
};

/** A ledger that was told these rows, one fetch each. */
async function told(...rows: Connection[]): Promise<Ledger> {
  const answers = rows.map((row) => ({ conns: [row] }));
  const ledger = new Ledger({
    register: async () => {},
    fetchConnections: async () => answers.shift() ?? { conns: [] },
  });
  for (const _ of rows) await ledger.fetch();
  return ledger;
}

test("a row that tells what the program counted has no differences", async () => {
  expect(differences(await told(closed), expectation(report))).toEqual([]);
});

test("shares of several fetches add up", async () => {
  const open = { ...closed, isClosed: false, lastBytesSent: 200, lastTcpClosed: 0 };
  const rest = {
    ...closed,
    lastBytesSent: 300,
    lastBytesReceived: 0,
    lastPacketsSent: 0,
    lastPacketsReceived: 0,
    lastRetransmits: 0,
    lastTcpEstablished: 0,
  };
  expect(differences(await told(open, rest), expectation(report))).toEqual([]);
});

const WRONG: Partial<Connection>[] = [
  { pid: 43 },
  { netNS: 8 },
  { direction: "incoming" },
  { family: "v6" },
  { type: "udp" },
  { lastBytesSent: 499, monotonicBytesSent: 499 },
  { lastBytesSent: 1000 },
  { lastBytesReceived: 61, monotonicBytesReceived: 61 },
  { lastPacketsSent: 6, monotonicPacketsSent: 6 },
  { lastPacketsReceived: 3, monotonicPacketsReceived: 3 },
  { lastRetransmits: 0, monotonicRetransmits: 0 },
  { lastTcpEstablished: 0 },
  { lastTcpClosed: 0 },
  { isClosed: false },
  { tcpFailuresByErrCode: { "110": 1 } },
  { process: { comm: "other", exe: "", ppid: 1, uid: 0, startTime: 0 } },
  { laddr: { ip: "10.0.0.3", port: 1000, containerId: "" } },
];

test.each(WRONG)("finds %j", async (wrong) => {
  expect(differences(await told({ ...closed, ...wrong }), expectation(report))).not.toEqual([]);
});

test("finds a missing row, a second row of the tuple, and a row told twice", async () => {
  const wanted: Expectation = expectation(report);
  expect(differences(await told(), wanted)).not.toEqual([]);
  expect(differences(await told(closed, { ...closed, cookie: "2" }), wanted)).not.toEqual([]);
  const twice = await told(closed, closed);
  expect(differences(twice, wanted)).not.toEqual([]);
  expect(twice.violations).toHaveLength(1);
});
