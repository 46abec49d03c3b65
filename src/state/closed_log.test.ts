import { describe, expect, test } from "bun:test";
import { Fixture, record } from "./fixture.ts";

describe("the closed log", () => {
  test("when full, a client loses its oldest, is told so, and harms no other", () => {
    const fixture = new Fixture({ maxClosed: 100 });
    fixture.state.register("slow", 0n);
    fixture.state.register("quick", 0n);
    let told = 0;
    for (let i = 1; i <= 250; i++) {
      fixture.close(record({ cookie: BigInt(i) }));
      if (i % 50 === 0) told += fixture.fetch("quick", []).conns.length;
    }
    expect(told).toBe(250);
    expect(fixture.state.telemetry("quick")).toMatchObject({ closed_conn_dropped: 0 });
    expect(fixture.state.telemetry("slow")).toMatchObject({ closed_conn_dropped: 150 });
    const { conns, connTelemetryMap } = fixture.fetch("slow", []);
    expect(conns.map(({ cookie }) => Number(cookie))).toEqual(
      Array.from({ length: 100 }, (_, index) => 151 + index),
    );
    expect(connTelemetryMap).toMatchObject({ closed_conn_dropped: 150 });
    expect(fixture.state.stats()).toMatchObject({ closed_conn_dropped: 150 });
    expect(fixture.fetch("slow", []).connTelemetryMap).toMatchObject({ closed_conn_dropped: 150 });
  });

  test("its memory is bounded while nobody asks", () => {
    const fixture = new Fixture({ maxClosed: 2048 });
    fixture.state.register("a", 0n);
    const before = fixture.memory.used;
    for (let i = 0; i < 10_000; i++) {
      fixture.close(record({ cookie: 1n }));
      if (fixture.memory.used - before > 3 * 1024 * 168) throw new Error(`after ${i}`);
    }
  });

  test("memory follows what is unread, across many blocks, and is given back", () => {
    const fixture = new Fixture();
    fixture.state.register("a", 0n);
    const idle = fixture.memory.used;
    for (let round = 0; round < 3; round++) {
      const count = 5000 + round;
      for (let i = 0; i < count; i++) fixture.close(record({ cookie: BigInt(i + 1) }));
      expect(fixture.memory.used - idle).toBeGreaterThan(count * 168);
      const { conns } = fixture.fetch("a", []);
      expect(conns.map(({ cookie }) => Number(cookie))).toEqual(
        Array.from({ length: count }, (_, index) => index + 1),
      );
      expect(fixture.memory.used - idle).toBeLessThan(200_000);
    }
  });
});
