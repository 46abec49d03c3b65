/** The twin of delta.c: the same rules over objects, for the tests to hold the kernel against. */
import type { ConnRecord } from "./record.ts";

/** A `struct counters`. */
export type Counters = Record<
  | "sent_bytes"
  | "recv_bytes"
  | "sent_packets"
  | "recv_packets"
  | "dropped_packets"
  | "retransmits"
  | "rto_count"
  | "reord_seen"
  | "delivered_ce"
  | "established"
  | "closed",
  bigint
>;

/** A `struct row`, with the record it points to. */
export interface TwinRow {
  record: ConnRecord;
  closed: boolean;
  total: Counters;
  last: Counters;
}

/** What a client was told, by cookie. */
export interface TwinTold {
  open: Map<bigint, Counters>;
  departed: Map<bigint, Counters>;
}

export interface TwinPass {
  active: TwinRow[];
  closed: TwinRow[];
  told: TwinTold;
  dropped: number;
  underflows: number;
  duplicates: number;
}

/** One pass for a client. */
export function deltaTwin(
  before: TwinTold,
  closedRecords: readonly ConnRecord[],
  activeRecords: readonly ConnRecord[],
  maxTracked: number,
): TwinPass {
  const pass: TwinPass = {
    active: [],
    closed: [],
    told: { open: new Map(), departed: new Map(before.open) },
    dropped: 0,
    underflows: 0,
    duplicates: 0,
  };
  const known = new Map([...before.departed, ...before.open]);
  const closedByCookie = new Map<bigint, TwinRow>();
  for (const record of closedRecords) {
    const same = closedByCookie.get(record.cookie);
    pass.told.departed.delete(record.cookie);
    if (same !== undefined) absorb(same, countersOf(record));
    else {
      const row = subtract(record, true, known.get(record.cookie), pass);
      closedByCookie.set(record.cookie, row);
      pass.closed.push(row);
    }
  }
  const total = activeRecords.length;
  const old = activeRecords.filter(({ cookie }) => known.has(cookie)).length;
  let budget = total <= maxTracked ? total : Math.max(0, maxTracked - old);
  for (const record of activeRecords) {
    const told = known.get(record.cookie);
    const closed = closedByCookie.get(record.cookie);
    if (closed !== undefined) absorb(closed, countersOf(record));
    else if (pass.told.open.has(record.cookie)) pass.duplicates++;
    else if (told === undefined && budget === 0) pass.dropped++;
    else {
      if (told === undefined) budget--;
      const row = subtract(record, false, told, pass);
      pass.told.open.set(record.cookie, row.total);
      pass.told.departed.delete(record.cookie);
      const changed = Object.values(row.last).some((value) => value !== 0n);
      if (told === undefined || changed) pass.active.push(row);
    }
  }
  return pass;
}

/** The counters of a record; what was dropped hasn't been received. */
export function countersOf(record: ConnRecord): Counters {
  return {
    sent_bytes: record.sent_bytes,
    recv_bytes: minus(record.recv_bytes, record.dropped_bytes),
    sent_packets: record.sent_packets,
    recv_packets: minus(record.recv_packets, record.dropped_packets),
    dropped_packets: record.dropped_packets,
    retransmits: BigInt(record.retransmits),
    rto_count: BigInt(record.rto_count),
    reord_seen: BigInt(record.reord_seen),
    delivered_ce: BigInt(record.delivered_ce),
    established: BigInt(record.established),
    closed: BigInt(record.closed),
  };
}

function minus(a: bigint, b: bigint): bigint {
  return a > b ? a - b : 0n;
}

function names(counters: Counters): (keyof Counters)[] {
  return Object.keys(counters) as (keyof Counters)[];
}

function subtract(
  record: ConnRecord,
  closed: boolean,
  told: Counters | undefined,
  pass: TwinPass,
): TwinRow {
  const total = countersOf(record);
  const last = { ...total };
  if (told !== undefined) {
    if (names(total).some((name) => total[name] < told[name])) pass.underflows++;
    for (const name of names(total)) {
      if (total[name] < told[name]) total[name] = told[name];
      last[name] = total[name] - told[name];
    }
  }
  return { record, closed, total, last };
}

function absorb(row: TwinRow, other: Counters): void {
  for (const name of names(other)) {
    if (other[name] <= row.total[name]) continue;
    row.last[name] += other[name] - row.total[name];
    row.total[name] = other[name];
  }
}
