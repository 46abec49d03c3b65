/** What a tracer must tell of a socket, derived from what the socket's own program reports. */
import type { Account, Ledger, Tuple } from "./ledger.ts";
import { PROGRAM_NAME, type SocketReport } from "./traffic.ts";

/** A number that must be met, or a range where the program can't see the last packets. */
type Count = number | { atLeast: number; atMost: number };

/** One row that a tracer must tell. */
export interface Expectation extends Tuple {
  pid: number;
  family: "v4" | "v6";
  direction: string;
  sent: number;
  received: number;
  packetsSent: Count;
  packetsReceived: Count;
  packetsDropped: number;
  retransmits: Count;
  established: number;
  closed: number;
  /** 1: told as closed, exactly once; 0: still open. */
  timesClosed: number;
  failures: Record<string, number>;
}

/** FIN, its ACK and what a loss makes of them: what may follow the last look at TCP_INFO. */
const PACKETS_OF_A_CLOSE = 4;

function counted(report: SocketReport, packets: number): Count {
  if (report.final) return packets;
  return { atLeast: packets, atMost: packets + (report.event === "end" ? PACKETS_OF_A_CLOSE : 0) };
}

/** IPv4-mapped addresses are told as IPv4. */
function normalised(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

/**
 * The row that a socket's own report calls for. `overrides` is for what the program can't know by
 * itself, such as bytes that reached its socket and that it never read.
 */
export function expectation(
  report: SocketReport,
  overrides: Partial<Expectation> = {},
): Expectation {
  const tcp = report.type === "tcp";
  const raddr = normalised(report.raddr);
  return {
    type: report.type,
    netns: report.netns,
    laddr: normalised(report.laddr),
    lport: report.lport,
    raddr,
    rport: report.rport,
    pid: report.pid,
    family: raddr.includes(":") ? "v6" : "v4",
    direction: report.direction,
    sent: report.sent,
    received: report.received,
    packetsSent: counted(report, report.packetsSent),
    packetsReceived: counted(report, report.packetsReceived),
    packetsDropped: 0,
    retransmits: report.final
      ? report.retransmits
      : { atLeast: report.retransmits, atMost: report.retransmits + 1 },
    established: tcp && report.established ? 1 : 0,
    closed: tcp && report.event === "end" ? 1 : 0,
    timesClosed: report.event === "end" ? 1 : 0,
    failures: report.errno === 0 ? {} : { [report.errno]: 1 },
    ...overrides,
  };
}

function meets(actual: number, expected: Count): boolean {
  if (typeof expected === "number") return actual === expected;
  return actual >= expected.atLeast && actual <= expected.atMost;
}

/** The account that an expectation speaks of, if the ledger has just one of its tuple. */
export function accountOf(ledger: Ledger, wanted: Expectation): Account | undefined {
  const found = ledger
    .find(wanted)
    .filter(({ row }) => row.pid === wanted.pid || wanted.lport !== 0);
  return found.length === 1 ? found[0] : undefined;
}

/** True when nothing more is to come of this row. */
export function isSettled(ledger: Ledger, wanted: Expectation): boolean {
  const account = accountOf(ledger, wanted);
  if (account === undefined) return false;
  if (wanted.timesClosed > 0) return account.timesClosed > 0;
  return account.sums.bytesSent >= wanted.sent && account.sums.bytesReceived >= wanted.received;
}

/** Says in one line each what was told otherwise than expected; empty when all is exact. */
export function differences(ledger: Ledger, wanted: Expectation): string[] {
  const { type, netns, laddr, lport, raddr, rport } = wanted;
  const name = `${type} ${laddr}:${lport} > ${raddr}:${rport} in ${netns}`;
  const account = accountOf(ledger, wanted);
  if (account === undefined) {
    return [`${name}: ${ledger.find(wanted).length} rows instead of one`];
  }

  const { row, sums } = account;
  const found: string[] = [];
  const compare = (what: string, actual: unknown, expected: unknown): void => {
    if (Bun.deepEquals(actual, expected)) return;
    found.push(`${name}: ${what} ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
  };
  const count = (what: string, actual: number, expected: Count): void => {
    if (!meets(actual, expected)) compare(what, actual, expected);
  };

  compare("pid", row.pid, wanted.pid);
  compare("process", row.process?.comm, PROGRAM_NAME);
  compare("family", row.family, wanted.family);
  compare("direction", row.direction, wanted.direction);
  compare("bytes sent", sums.bytesSent, wanted.sent);
  compare("bytes received", sums.bytesReceived, wanted.received);
  count("packets sent", sums.packetsSent, wanted.packetsSent);
  count("packets received", sums.packetsReceived, wanted.packetsReceived);
  count("packets dropped", sums.packetsDropped, wanted.packetsDropped);
  count("retransmits", sums.retransmits, wanted.retransmits);
  compare("established", sums.established, wanted.established);
  compare("closed", sums.closed, wanted.closed);
  compare("times told as closed", account.timesClosed, wanted.timesClosed);
  compare("failures", row.tcpFailuresByErrCode ?? {}, wanted.failures);

  // All that this client was told is all there is: it has known the connection from its first byte.
  compare("monotonic bytes sent", row.monotonicBytesSent, sums.bytesSent);
  compare("monotonic bytes received", row.monotonicBytesReceived, sums.bytesReceived);
  compare("monotonic packets sent", row.monotonicPacketsSent, sums.packetsSent);
  compare("monotonic packets received", row.monotonicPacketsReceived, sums.packetsReceived);
  compare("monotonic retransmits", row.monotonicRetransmits, sums.retransmits);
  return found;
}
