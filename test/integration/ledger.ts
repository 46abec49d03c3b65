/** What one client of a tracer has been told, added up. */
import type { Connection } from "../../src/model/connection.ts";

/** The counters that a client is told as its share since its last call. */
export interface Shares {
  bytesSent: number;
  bytesReceived: number;
  packetsSent: number;
  packetsReceived: number;
  retransmits: number;
  established: number;
  closed: number;
  packetsDropped: number;
}

/** All that was told of one connection. */
export interface Account {
  /** As last told. */
  row: Connection;
  /** Sums of the `last…` counters. */
  sums: Shares;
  timesClosed: number;
}

/** The key by which both ends of a connection and its rows are found. */
export interface Tuple {
  type: string;
  netns: number;
  laddr: string;
  lport: number;
  raddr: string;
  rport: number;
}

function key(tuple: Tuple): string {
  const { type, netns, laddr, lport, raddr, rport } = tuple;
  return `${type} ${netns} ${laddr} ${lport} ${raddr} ${rport}`;
}

/** The part of a tracer that a ledger asks. */
interface Tracer {
  register(client: string): Promise<void>;
  fetchConnections(client: string): Promise<{ conns: Connection[] }>;
}

/** Asks one tracer as one client, and keeps accounts. */
export class Ledger {
  readonly accounts = new Map<string, Account>();
  /** Rows that break a promise to every client, such as one that comes after its close. */
  readonly violations: string[] = [];
  readonly #byTuple = new Map<string, Set<Account>>();

  constructor(
    private readonly tracer: Tracer,
    private readonly client = "ledger",
  ) {}

  register(): Promise<void> {
    return this.tracer.register(this.client);
  }

  /** Asks once and books what is new. */
  async fetch(): Promise<void> {
    const { conns } = await this.tracer.fetchConnections(this.client);
    for (const row of conns) this.#book(row);
  }

  /** Keeps asking until `enough` or the time is over; the caller's assertions tell which. */
  async collect(enough: () => boolean, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      await this.fetch();
      if (enough() || performance.now() > deadline) return;
      await Bun.sleep(20);
    }
  }

  /** Accounts of this tuple; a port that is 0 stands for any. */
  find(tuple: Tuple): Account[] {
    if (tuple.lport !== 0) return [...(this.#byTuple.get(key(tuple)) ?? [])];
    const wanted = key(tuple);
    return [...this.accounts.values()].filter(
      ({ row }) => key({ ...tupleOf(row), laddr: tuple.laddr, lport: 0 }) === wanted,
    );
  }

  #book(row: Connection): void {
    let account = this.accounts.get(row.cookie);
    if (account === undefined) {
      account = { row, sums: shares(undefined, row), timesClosed: 0 };
      this.accounts.set(row.cookie, account);
    } else {
      if (account.timesClosed > 0) {
        this.violations.push(`told after its close: ${JSON.stringify(row)}`);
      }
      account.sums = shares(account.sums, row);
      account.row = row;
    }
    if (row.isClosed) account.timesClosed++;

    // Under each tuple that it was ever told with: a port may be learned late.
    const accounts = this.#byTuple.get(key(tupleOf(row))) ?? new Set();
    this.#byTuple.set(key(tupleOf(row)), accounts.add(account));
  }
}

function tupleOf(row: Connection): Tuple {
  return {
    type: row.type,
    netns: row.netNS,
    laddr: row.laddr.ip,
    lport: row.laddr.port,
    raddr: row.raddr.ip,
    rport: row.raddr.port,
  };
}

function shares(before: Shares | undefined, row: Connection): Shares {
  return {
    bytesSent: (before?.bytesSent ?? 0) + row.lastBytesSent,
    bytesReceived: (before?.bytesReceived ?? 0) + row.lastBytesReceived,
    packetsSent: (before?.packetsSent ?? 0) + row.lastPacketsSent,
    packetsReceived: (before?.packetsReceived ?? 0) + row.lastPacketsReceived,
    retransmits: (before?.retransmits ?? 0) + row.lastRetransmits,
    established: (before?.established ?? 0) + row.lastTcpEstablished,
    closed: (before?.closed ?? 0) + row.lastTcpClosed,
    packetsDropped: (before?.packetsDropped ?? 0) + (row.lastPacketsDropped ?? 0),
  };
}
