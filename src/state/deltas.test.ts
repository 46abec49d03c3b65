/** What a client is told, and when: the rules one by one. */
import { describe, expect, test } from "bun:test";
import { Fixture, record, summary } from "./fixture.ts";

describe("deltas", () => {
  test("a connection is told with its totals first, then with what was added, then not at all", () => {
    const fixture = new Fixture();
    const at = (sent_bytes: bigint) => [record({ cookie: 1n, sent_bytes })];
    const first = fixture.fetch("a", at(100n));
    expect(first.conns[0]).toMatchObject({ lastBytesSent: 100, monotonicBytesSent: 100 });
    const second = fixture.fetch("a", at(130n));
    expect(second.conns[0]).toMatchObject({ lastBytesSent: 30, monotonicBytesSent: 130 });
    expect(fixture.fetch("a", at(130n)).conns).toEqual([]);
  });

  test("an idle connection is told once, when it is new", () => {
    const fixture = new Fixture();
    const idle = [record({ cookie: 1n })];
    expect(summary(fixture.fetch("a", idle))).toEqual(["1: 0"]);
    expect(summary(fixture.fetch("a", idle))).toEqual([]);
  });

  test("clients that ask at different times are each told their own share", () => {
    const fixture = new Fixture();
    const at = (sent_bytes: bigint) => [record({ cookie: 1n, sent_bytes })];
    expect(summary(fixture.fetch("a", at(10n)))).toEqual(["1: 10"]);
    expect(summary(fixture.fetch("b", at(25n)))).toEqual(["1: 25"]);
    expect(summary(fixture.fetch("a", at(45n)))).toEqual(["1: 35"]);
    fixture.close(record({ cookie: 1n, sent_bytes: 50n }));
    expect(summary(fixture.fetch("b", []))).toEqual(["1: 25 closed"]);
    expect(summary(fixture.fetch("b", []))).toEqual([]);
    expect(summary(fixture.fetch("a", []))).toEqual(["1: 5 closed"]);
    expect(summary(fixture.fetch("a", []))).toEqual([]);
  });

  test("a connection that opened and closed between two fetches is told once, in full", () => {
    const fixture = new Fixture();
    fixture.fetch("a", []);
    fixture.close(record({ cookie: 1n, sent_bytes: 7n, closed: 1, established: 1 }));
    const { conns } = fixture.fetch("a", []);
    expect(conns).toHaveLength(1);
    expect(conns[0]).toMatchObject({ lastBytesSent: 7, lastTcpEstablished: 1, lastTcpClosed: 1 });
    expect(fixture.fetch("a", []).conns).toEqual([]);
  });

  test("a close is told even when nothing was added", () => {
    const fixture = new Fixture();
    fixture.fetch("a", [record({ cookie: 1n, sent_bytes: 5n })]);
    fixture.close(record({ cookie: 1n, sent_bytes: 5n }));
    expect(summary(fixture.fetch("a", []))).toEqual(["1: 0 closed"]);
  });

  test("what closed before a client was registered is not told to it", () => {
    const fixture = new Fixture();
    fixture.close(record({ cookie: 1n }));
    fixture.state.register("a", 0n);
    fixture.close(record({ cookie: 2n }));
    fixture.state.register("b", 0n);
    fixture.state.register("a", 0n);
    fixture.close(record({ cookie: 3n }));
    expect(summary(fixture.fetch("a", []))).toEqual(["2: 0 closed", "3: 0 closed"]);
    expect(summary(fixture.fetch("b", []))).toEqual(["3: 0 closed"]);
    expect(summary(fixture.fetch("c", []))).toEqual([]);
    expect(fixture.state.stats()).toMatchObject({ total_closed: 3, clients: 3 });
  });

  test("without clients nothing is kept", () => {
    const fixture = new Fixture();
    const before = fixture.memory.used;
    for (let i = 0; i < 5000; i++) fixture.close(record({ cookie: BigInt(i + 1) }));
    expect(fixture.memory.used).toBe(before);
    expect(fixture.state.stats()).toMatchObject({ total_closed: 5000 });
  });

  test("a close absorbs the open record of the same pass, and open ones come first", () => {
    const fixture = new Fixture();
    fixture.fetch("a", [record({ cookie: 1n, sent_bytes: 10n })]);
    fixture.close(record({ cookie: 1n, sent_bytes: 30n, recv_bytes: 4n }));
    const { conns } = fixture.fetch("a", [
      record({ cookie: 1n, sent_bytes: 20n, recv_bytes: 9n }),
      record({ cookie: 2n }),
    ]);
    expect(conns.map(({ cookie, isClosed }) => [cookie, isClosed])).toEqual([
      ["2", false],
      ["1", true],
    ]);
    expect(conns[1]).toMatchObject({ lastBytesSent: 20, lastBytesReceived: 9 });
  });

  test("the same cookie closed twice before a fetch is told once, with the higher counters", () => {
    const fixture = new Fixture();
    fixture.state.register("a", 0n);
    fixture.close(record({ cookie: 1n, sent_bytes: 10n }));
    fixture.close(record({ cookie: 1n, sent_bytes: 12n }));
    expect(summary(fixture.fetch("a", []))).toEqual(["1: 12 closed"]);
  });

  test("a connection that ends between the closed and the open ones is told once all the same", () => {
    const fixture = new Fixture();
    fixture.fetch("a", [record({ cookie: 1n, sent_bytes: 10n })]);
    expect(summary(fixture.fetch("a", []))).toEqual([]);
    fixture.close(record({ cookie: 1n, sent_bytes: 15n }));
    expect(summary(fixture.fetch("a", []))).toEqual(["1: 5 closed"]);
  });

  test("a connection that one read has missed goes on where it was", () => {
    const fixture = new Fixture({ maxTracked: 1 });
    fixture.fetch("a", [record({ cookie: 1n, sent_bytes: 10n })]);
    fixture.fetch("a", []);
    const open = [record({ cookie: 2n }), record({ cookie: 1n, sent_bytes: 11n })];
    expect(summary(fixture.fetch("a", open))).toEqual(["1: 1"]);
  });

  test("a connection whose last event has not come is open, but its end is counted once", () => {
    const fixture = new Fixture();
    fixture.fetch("a", [record({ cookie: 1n })]);
    const ended = record({ cookie: 1n, closed: 1 });
    const { conns } = fixture.fetch("a", [ended]);
    expect(conns[0]).toMatchObject({ lastTcpClosed: 1, isClosed: false });
    fixture.close(ended);
    const last = fixture.fetch("a", []);
    expect(last.conns[0]).toMatchObject({ lastTcpClosed: 0, isClosed: true });
  });

  test("a counter that went back is no traffic, and what it regains is not told again", () => {
    const fixture = new Fixture();
    const at = (sent_bytes: bigint) => [record({ cookie: 1n, sent_bytes })];
    fixture.fetch("a", at(100n));
    expect(summary(fixture.fetch("a", at(40n)))).toEqual([]);
    expect(fixture.state.stats()).toMatchObject({ stats_underflows: 1 });
    expect(summary(fixture.fetch("a", at(90n)))).toEqual([]);
    expect(summary(fixture.fetch("a", at(110n)))).toEqual(["1: 10"]);
  });

  test("connections beyond the limit are counted, known ones stay, and room is used again", () => {
    const fixture = new Fixture({ maxTracked: 2 });
    const open = (...cookies: bigint[]) => cookies.map((cookie) => record({ cookie }));
    expect(summary(fixture.fetch("a", open(1n, 2n, 3n)))).toEqual(["1: 0", "2: 0"]);
    const second = fixture.fetch("a", [
      ...open(4n),
      record({ cookie: 2n, sent_bytes: 5n }),
      ...open(3n),
    ]);
    expect(summary(second)).toEqual(["4: 0", "2: 5"]);
    expect(second.connTelemetryMap).toMatchObject({ conn_dropped: 2 });
    expect(summary(fixture.fetch("a", open(3n)))).toEqual(["3: 0"]);
    expect(fixture.state.telemetry("a")).toEqual({ closed_conn_dropped: 0, conn_dropped: 2 });
    fixture.fetch("b", open(1n, 2n));
    expect(fixture.state.telemetry("b")).toEqual({ closed_conn_dropped: 0, conn_dropped: 0 });
  });
});
