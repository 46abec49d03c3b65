/** The delta kernel against its twin, on random traffic of several clients. */
import { expect, test } from "bun:test";
import { counters as countersLayout, row as rowLayout } from "../wasm/layout.ts";
import { type Counters, deltaTwin, type TwinRow, type TwinTold } from "../wasm/twins/delta.ts";
import { type ConnRecord, readRecord } from "../wasm/twins/record.ts";
import { Fixture, random, record } from "./fixture.ts";
import type { RowRun } from "./rows.ts";

type Pick = (limit: number) => number;

/** The rows of a run as the twin has them. */
function readRows({ memory }: Fixture, run: RowRun): TwinRow[] {
  const { view, bytes } = memory;
  return Array.from({ length: run.count }, (_, index) => {
    const at = run.offset + index * rowLayout.size;
    return {
      record: readRecord(bytes, view.getUint32(at + rowLayout.record, true)),
      closed: view.getUint32(at + rowLayout.closed, true) === 1,
      total: readCounters(view, at + rowLayout.total),
      last: readCounters(view, at + rowLayout.last),
    };
  });
}

function readCounters(view: DataView, at: number): Counters {
  const u64 = (offset: number) => view.getBigUint64(at + offset, true);
  const u32 = (offset: number) => BigInt(view.getUint32(at + offset, true));
  return {
    sent_bytes: u64(countersLayout.sent_bytes),
    recv_bytes: u64(countersLayout.recv_bytes),
    sent_packets: u64(countersLayout.sent_packets),
    recv_packets: u64(countersLayout.recv_packets),
    dropped_packets: u64(countersLayout.dropped_packets),
    retransmits: u32(countersLayout.retransmits),
    rto_count: u32(countersLayout.rto_count),
    reord_seen: u32(countersLayout.reord_seen),
    delivered_ce: u32(countersLayout.delivered_ce),
    established: u32(countersLayout.established),
    closed: u32(countersLayout.closed),
  };
}

/** Moves some counters of a connection, mostly forwards. */
function move(each: ConnRecord, pick: Pick): ConnRecord {
  const step = (value: bigint) => {
    const moved = value + BigInt(pick(1000)) - (pick(50) === 0 ? 1500n : 0n);
    return moved < 0n ? 0n : moved;
  };
  const kind = pick(4);
  if (kind > 1) return each;
  return {
    ...each,
    sent_bytes: step(each.sent_bytes),
    recv_bytes: kind === 0 ? step(each.recv_bytes) : each.recv_bytes,
    dropped_bytes: pick(10) === 0 ? step(each.dropped_bytes) : each.dropped_bytes,
    sent_packets: step(each.sent_packets),
    recv_packets: step(each.recv_packets),
    dropped_packets: pick(10) === 0 ? step(each.dropped_packets) : each.dropped_packets,
    retransmits: pick(5) === 0 ? pick(100) : each.retransmits,
    rto_count: each.rto_count + pick(2),
    reord_seen: each.reord_seen + pick(2),
    delivered_ce: each.delivered_ce + pick(2),
    established: 1,
    closed: pick(20) === 0 ? 1 : each.closed,
  };
}

const CASES: { name: string; seed: number; maxTracked: number; shuffled: boolean }[] = [
  { name: "records in the order of the last pass", seed: 1, maxTracked: 65_536, shuffled: false },
  { name: "records in any order", seed: 2, maxTracked: 65_536, shuffled: true },
  { name: "more connections than may be tracked", seed: 3, maxTracked: 150, shuffled: false },
  { name: "no connection may be tracked", seed: 4, maxTracked: 0, shuffled: true },
];

test.each(CASES)("$name", ({ seed, maxTracked, shuffled }) => {
  const pick = random(seed);
  const fixture = new Fixture({ maxTracked });
  const clients = ["a", "b", "c"].map((id) => {
    fixture.state.register(id, 0n);
    return {
      id,
      told: { open: new Map(), departed: new Map() } as TwinTold,
      unread: [] as ConnRecord[],
    };
  });
  const seen = { underflows: 0, duplicates: 0, dropped: 0, absorbed: 0, departed: 0 };
  let nextCookie = 1n;
  let open: ConnRecord[] = [];
  /** Ended, but the end is told only in the next round. */
  let late: ConnRecord[] = [];

  for (let round = 0; round < 60; round++) {
    const born = Array.from({ length: pick(40) }, () => record({ cookie: nextCookie++ }));
    open = [...open, ...born].map((each) => move(each, pick));
    const closing = open.filter(() => pick(12) === 0);
    const twice = closing.filter(() => pick(5) === 0).map((each) => move(each, pick));
    const delayed = closing.filter(() => pick(3) === 0);
    const onTime = closing.filter((each) => !delayed.includes(each));
    for (const each of [...late, ...onTime, ...twice]) {
      fixture.close(each);
      for (const { unread } of clients) unread.push(each);
    }
    late = delayed;
    // A closed connection may still be in the table that was read before its close.
    const stale = onTime.filter(() => pick(4) === 0).map((each) => move(each, pick));
    open = open.filter((each) => !closing.includes(each));
    const missed = open.filter(() => pick(40) === 0);
    const listed = [
      ...open.filter((each) => !missed.includes(each)),
      ...stale,
      ...open.filter(() => pick(50) === 0),
    ];
    if (shuffled) listed.sort(() => pick(3) - 1);

    const client = clients[pick(clients.length)];
    if (client === undefined) throw new Error("no client");
    const expected = deltaTwin(client.told, client.unread, listed, maxTracked);
    const before = fixture.state.stats();
    using delta = fixture.state.delta(client.id, fixture.open(listed, 168 + 8 * pick(4)), 0n);
    expect(readRows(fixture, delta.active)).toEqual(expected.active);
    expect(readRows(fixture, delta.closed)).toEqual(expected.closed);
    if (pick(5) === 0) continue;
    delta.commit();
    client.told = expected.told;
    client.unread.length = 0;
    const after = fixture.state.stats();
    const grown = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
    expect(grown("conn_dropped")).toBe(expected.dropped);
    expect(grown("stats_underflows")).toBe(expected.underflows);
    expect(grown("stats_cookie_collisions")).toBe(expected.duplicates);
    seen.underflows += expected.underflows;
    seen.duplicates += expected.duplicates;
    seen.dropped += expected.dropped;
    seen.absorbed += stale.length;
    seen.departed += expected.told.departed.size;
  }
  // The traffic was such that every rule had its turn.
  expect(seen.absorbed).toBeGreaterThan(10);
  if (maxTracked > 0) expect(seen.departed).toBeGreaterThan(10);
  if (maxTracked > 1000) {
    expect(seen.underflows).toBeGreaterThan(10);
    expect(seen.duplicates).toBeGreaterThan(10);
  } else {
    expect(seen.dropped).toBeGreaterThan(100);
  }
});
