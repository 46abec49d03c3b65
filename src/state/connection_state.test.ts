import { describe, expect, test } from "bun:test";
import { RecordMemory } from "../wasm/memory.ts";
import { Fixture, record, summary } from "./fixture.ts";

const SECOND = 1_000_000_000n;
const MIB = 1024 * 1024;

describe("commit", () => {
  test("an answer that was not committed is repeated", () => {
    const fixture = new Fixture({ maxTracked: 1 });
    fixture.state.register("a", 0n);
    fixture.close(record({ cookie: 9n, sent_bytes: 3n }));
    const open = [record({ cookie: 1n, sent_bytes: 10n }), record({ cookie: 2n })];
    const failed = () => {
      using delta = fixture.state.delta("a", fixture.open(open), 0n);
      return fixture.decode(delta);
    };
    const first = failed();
    expect(summary(first)).toEqual(["1: 10", "9: 3 closed"]);
    expect(failed()).toEqual(first);
    expect(fixture.state.telemetry("a")).toMatchObject({ conn_dropped: 0 });
    expect(fixture.fetch("a", open)).toEqual(first);
    expect(summary(fixture.fetch("a", open))).toEqual([]);
  });

  test("what closes between a delta and its commit is told next time", () => {
    const fixture = new Fixture();
    fixture.state.register("a", 0n);
    fixture.close(record({ cookie: 1n }));
    {
      using delta = fixture.state.delta("a", [], 0n);
      fixture.close(record({ cookie: 2n }));
      expect(summary(fixture.decode(delta))).toEqual(["1: 0 closed"]);
      delta.commit();
    }
    expect(summary(fixture.fetch("a", []))).toEqual(["2: 0 closed"]);
  });

  test("rows stay readable while the closed log overflows under them", () => {
    const fixture = new Fixture({ maxClosed: 1024 });
    fixture.state.register("a", 0n);
    for (let i = 1; i <= 1024; i++) fixture.close(record({ cookie: BigInt(i) }));
    using delta = fixture.state.delta("a", [], 0n);
    for (let i = 0; i < 5000; i++) fixture.close(record({ cookie: 77n }));
    expect(fixture.recordsOf(delta).map(({ cookie }) => Number(cookie))).toEqual(
      Array.from({ length: 1024 }, (_, index) => index + 1),
    );
  });

  test("two documents at once are refused", () => {
    const fixture = new Fixture();
    using delta = fixture.state.delta("a", [], 0n);
    expect(() => fixture.state.delta("b", [], 0n)).toThrow("still in use");
    expect(() => fixture.state.snapshot([])).toThrow("still in use");
    expect(() => fixture.state.expireClients(0n)).toThrow("still in use");
    delta[Symbol.dispose]();
    expect(fixture.state.expireClients(0n)).toEqual([]);
  });
});

describe("clients", () => {
  test("a client expires when its last fetch is too long ago; registering again is no fetch", () => {
    const fixture = new Fixture({ clientExpiry: 120n * SECOND });
    fixture.state.register("registered", 0n);
    fixture.fetch("fetches", [], 0n);
    fixture.fetch("fetches", [], 60n * SECOND);
    fixture.state.register("registered", 100n * SECOND);
    fixture.close(record({ cookie: 1n }));
    expect(fixture.state.expireClients(120n * SECOND)).toEqual([]);
    expect(fixture.state.expireClients(121n * SECOND)).toEqual(["registered"]);
    expect(summary(fixture.fetch("registered", [], 121n * SECOND))).toEqual([]);
    expect(summary(fixture.fetch("fetches", [], 121n * SECOND))).toEqual(["1: 0 closed"]);
    expect(fixture.state.stats()).toMatchObject({ clients_expired: 1 });
  });

  test("the memory of an expired client and of what only it had not read is given back", () => {
    const fixture = new Fixture({ clientExpiry: 1n });
    const open = Array.from({ length: 1000 }, (_, index) => record({ cookie: BigInt(index + 1) }));
    fixture.open(open);
    const before = fixture.memory.used;
    fixture.fetch("a", open);
    for (let i = 0; i < 3000; i++) fixture.close(record({ cookie: 1n }));
    expect(fixture.memory.used).toBeGreaterThan(before + 3 * 172_032);
    fixture.state.expireClients(10n);
    // The log keeps the block that it is writing to.
    expect(fixture.memory.used).toBeLessThanOrEqual(before + 172_032);
  });

  test("there is a limit, and it says so", () => {
    const fixture = new Fixture();
    for (let i = 0; i < 64; i++) fixture.state.register(`client ${i}`, 0n);
    expect(() => fixture.state.register("one more", 0n)).toThrow(
      "register client one more: 64 clients are registered, and none of them has expired",
    );
    fixture.state.register("client 0", 0n);
  });

  test("netState is what was told of open connections", () => {
    const fixture = new Fixture();
    fixture.fetch("a", [
      record({ cookie: 2n ** 63n, sent_bytes: 5n, recv_bytes: 6n, retransmits: 7, established: 1 }),
    ]);
    expect(fixture.state.netState("a")).toEqual({
      "9223372036854775808": {
        total_sent: 5,
        total_recv: 6,
        total_retransmits: 7,
        total_tcp_established: 1,
        total_tcp_closed: 0,
      },
    });
    fixture.fetch("a", []);
    expect(fixture.state.netState("a")).toEqual({});
    expect(fixture.state.netState("b")).toBeUndefined();
  });

  test("a full record memory fails the fetch, leaves nothing behind and loses nothing", () => {
    const fixture = new Fixture({ memory: new RecordMemory(4 * MIB) });
    const open = (count: number) =>
      fixture.open(
        Array.from({ length: count }, (_, i) => record({ cookie: BigInt(i + 1), sent_bytes: 1n })),
      );
    const many = open(10_000);
    fixture.state.register("a", 0n);
    const before = fixture.memory.used;
    expect(() => fixture.state.delta("a", many, 0n)).toThrow("record memory");
    expect(fixture.memory.used).toBe(before);
    using delta = fixture.state.delta("a", open(100), 0n);
    expect(delta.count).toBe(100);
  });
});

test("tables say how full they are", () => {
  const fixture = new Fixture({ maxClosed: 500 });
  fixture.state.register("a", 0n);
  fixture.close(record({ cookie: 1n }));
  const tables = fixture.state.tables();
  expect(tables.map(({ name, entries }) => [name, entries])).toEqual([
    ["clients", 1],
    ["closed_connections", 1],
    ["process_descriptions", 0],
    ["record_memory_bytes", fixture.memory.used],
  ]);
  expect(tables[1]).toEqual({
    name: "closed_connections",
    entries: 1,
    capacity: 500,
    bytes: 172_032,
  });
});
