import { describe, expect, test } from "bun:test";
import { decode } from "@msgpack/msgpack";
import type { Connections } from "../model/connection.ts";
import { concat, Fixture, record } from "./fixture.ts";

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const CURL = { comm: "curl", exe: "/usr/bin/curl", ppid: 1, uid: 0, startTime: 5 };

describe("the document", () => {
  test("its members come in the order of design/api.md, with the client's own losses", () => {
    const fixture = new Fixture();
    using delta = fixture.state.delta('q"', fixture.open([]), 5n);
    const envelope = { clientId: 'q"', latestTime: 2n ** 63n, telemetry: { perf_lost: 3 } };
    const text = new TextDecoder().decode(
      concat(fixture.encoder.encode(delta, "json", envelope, () => 0)),
    );
    expect(text).toBe(
      '{"clientId":"q\\"","latestTime":9223372036854775808,"conns":[],"dns":{},"domains":[],' +
        '"routes":[],"tags":[],"connTelemetryMap":' +
        '{"perf_lost":3,"closed_conn_dropped":0,"conn_dropped":0}}',
    );
    const packed = concat(fixture.encoder.encode(delta, "msgpack", envelope, () => 0));
    expect(decode(packed)).toEqual(JSON.parse(text));
  });

  test("64-bit numbers are written in full, in both formats", () => {
    const fixture = new Fixture();
    const extremes = [0n, 9n, 10n, 99n, 100n, 2n ** 32n - 1n, 2n ** 32n, MAX_SAFE, 2n ** 64n - 1n];
    for (let power = 1n; power < 10n ** 19n; power *= 10n) extremes.push(power, power - 1n);
    const open = extremes.map((value, index) =>
      record({ cookie: BigInt(index + 1), sent_bytes: value, updated: value }),
    );
    using delta = fixture.state.delta("a", fixture.open(open), 0n);
    const json = fixture.encode(delta, "json");
    const text = new TextDecoder().decode(json);
    const found = [...text.matchAll(/"lastBytesSent":(\d+),.*?"lastUpdate":(\d+),/g)];
    expect(found.map(([, sent]) => sent)).toEqual(extremes.map(String));
    expect(found.map(([, , updated]) => updated)).toEqual(extremes.map(String));

    const packed = fixture.encode(delta, "msgpack");
    expect(decode(packed)).toEqual(JSON.parse(text));
    const exact = decode(packed, { useBigInt64: true }) as Connections;
    expect(exact.conns.map((each) => BigInt(each.lastBytesSent))).toEqual(extremes);
  });

  test("what spans many parts is complete, and no part exceeds 256 KiB", () => {
    const fixture = new Fixture();
    const open = Array.from({ length: 2000 }, (_, index) => record({ cookie: BigInt(index + 1) }));
    for (const format of ["json", "msgpack"] as const) {
      using delta = fixture.state.delta("a", fixture.open(open), 0n);
      const envelope = { clientId: "a", latestTime: 1n, telemetry: {} };
      const chunks = [...fixture.encoder.encode(delta, format, envelope, () => 0)];
      expect(chunks.length).toBeGreaterThan(5);
      for (const chunk of chunks) expect(chunk.byteLength).toBeLessThanOrEqual(256 * 1024);
      const bytes = concat(chunks);
      const document =
        format === "json" ? JSON.parse(new TextDecoder().decode(bytes)) : decode(bytes);
      const { conns } = document as Connections;
      expect(conns.map(({ cookie }) => cookie)).toEqual(open.map(({ cookie }) => `${cookie}`));
    }
  });

  test("a reader that stops half-way leaves no memory behind", () => {
    const fixture = new Fixture();
    const segments = fixture.open(
      Array.from({ length: 2000 }, (_, index) => record({ cookie: BigInt(index + 1) })),
    );
    fixture.state.register("a", 0n);
    const before = fixture.memory.used;
    {
      using delta = fixture.state.delta("a", segments, 0n);
      const envelope = { clientId: "a", latestTime: 1n, telemetry: {} };
      for (const chunk of fixture.encoder.encode(delta, "json", envelope, () => 0)) {
        if (chunk.byteLength > 100_000) break;
      }
    }
    expect(fixture.memory.used).toBe(before);
  });
});

describe("owners", () => {
  test("each pid is asked for once, and only for open connections", () => {
    const fixture = new Fixture();
    fixture.state.register("a", 0n);
    fixture.state.processes.put(7, CURL);
    fixture.close(record({ cookie: 100n, pid: 99 }));
    const open = [5, 6, 5, 0, 6, 5].map((pid, index) => record({ cookie: BigInt(index + 1), pid }));
    const asked: number[] = [];
    using delta = fixture.state.delta("a", fixture.open(open), 0n);
    const bytes = fixture.encode(delta, "json", "a", (pid) => {
      asked.push(pid);
      return pid === 5 ? 7 : 0;
    });
    expect(asked).toEqual([5, 6]);
    const { conns } = JSON.parse(new TextDecoder().decode(bytes)) as Connections;
    expect(conns.map(({ process }) => process?.comm)).toEqual([
      "curl",
      undefined,
      "curl",
      undefined,
      undefined,
      "curl",
      undefined,
    ]);
  });

  test("a snapshot tells all that is in the table, to nobody", () => {
    const fixture = new Fixture();
    const stride = 200;
    const open = [
      record({ cookie: 1n, sent_bytes: 5n, pid: 4 }),
      record({ cookie: 2n, closed: 1, created: 10n, closed_at: 30n }),
    ];
    const segments = fixture.open(open, stride);
    using rows = fixture.state.snapshot([...segments, ...segments]);
    const { conns } = fixture.decode(rows);
    expect(conns.map(({ cookie }) => cookie)).toEqual(["1", "2", "1", "2"]);
    expect(conns[0]).toMatchObject({ lastBytesSent: 0, monotonicBytesSent: 5, isClosed: false });
    expect(conns[1]).toMatchObject({ lastTcpClosed: 0, isClosed: true, duration: 20 });
    expect(fixture.state.stats()).toMatchObject({ clients: 0 });
  });
});
