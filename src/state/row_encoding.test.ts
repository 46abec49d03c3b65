/** The row encoders (json.c, msgpack.c, owners.c) against their twin, and each field by itself. */
import { describe, expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import type { Connections, Process } from "../model/connection.ts";
import { connectionTwin } from "../wasm/twins/connection.ts";
import { countersOf } from "../wasm/twins/delta.ts";
import type { ConnRecord } from "../wasm/twins/record.ts";
import { Fixture, random, record, v4 } from "./fixture.ts";

const EPHEMERAL = { first: 32_768, last: 60_999 };

function ipv6(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(8 - groups(head).length - after.length).fill("0");
  const all = [...groups(head), ...zeros, ...after];
  return Uint8Array.fromHex(all.map((group) => group.padStart(4, "0")).join(""));
}

/** Numbers of every length in digits and in msgpack bytes, exact in a double. */
function anyNumber(pick: (limit: number) => number, bits: number): bigint {
  const value = (BigInt(pick(2 ** 32)) << 32n) | BigInt(pick(2 ** 32));
  return value >> BigInt(64 - Math.min(bits, 53) + pick(Math.min(bits, 53) + 1));
}

function anyAddress(pick: (limit: number) => number): Uint8Array {
  const kind = pick(5);
  if (kind === 0) return v4(pick(256), pick(256), pick(256), pick(256));
  if (kind === 1) return v4(127, 0, 0, pick(3));
  if (kind === 2) return ipv6("::1");
  const address = new Uint8Array(16);
  for (let i = 0; i < 16; i++) address[i] = pick(3) === 0 ? pick(256) : 0;
  return address;
}

function anyRecord(pick: (limit: number) => number): ConnRecord {
  const u64 = () => anyNumber(pick, 64);
  const u32 = () => Number(anyNumber(pick, 32));
  const laddr = anyAddress(pick);
  return {
    cookie: (BigInt(pick(2 ** 32)) << 32n) | BigInt(pick(2 ** 32)),
    created: pick(3) === 0 ? 0n : u64(),
    updated: u64(),
    closed_at: u64(),
    sent_bytes: u64(),
    recv_bytes: u64(),
    sent_packets: u64(),
    recv_packets: u64(),
    dropped_bytes: u64(),
    dropped_packets: u64(),
    laddr,
    raddr: pick(4) === 0 ? laddr : anyAddress(pick),
    lport: pick(65_536),
    rport: pick(65_536),
    netns: u32(),
    pid: pick(3) === 0 ? 0 : pick(pick(2) === 0 ? 20 : 4_194_304),
    uid: u32(),
    rtt: u32(),
    rttvar: u32(),
    retransmits: u32(),
    rto_count: u32(),
    reord_seen: u32(),
    delivered_ce: u32(),
    error: pick(2) === 0 ? 0 : pick(65_536),
    established: pick(2),
    closed: pick(2),
    protocol: pick(2) === 0 ? 6 : 17,
    direction: pick(5),
    state: pick(13),
    owner: pick(4),
    process: 0,
    flags: pick(8),
  };
}

const PROCESSES: Process[] = [
  { comm: "curl", exe: "/usr/bin/curl", ppid: 1, uid: 0, startTime: 12_345_678_901_234 },
  { comm: 'a"b\\\n', exe: "/tmp/ü \u0001", ppid: 4_000_000, uid: 4_294_967_294, startTime: 0 },
];

describe("rows against their twin", () => {
  const SEED = 20_240_601;
  const pick = random(SEED);
  const fixture = new Fixture();
  for (const [index, process] of PROCESSES.entries()) {
    fixture.state.processes.put(index + 1, process);
  }
  const open = Array.from({ length: 3000 }, () => anyRecord(pick));
  const closed = Array.from({ length: 500 }, () => anyRecord(pick));
  fixture.state.register("a", 0n);
  for (const [index, each] of closed.entries()) fixture.close(each, index % 3);
  const resolve = (pid: number) => pid % 3;
  const expected = [
    ...open.map((each) => [each, false, each.pid % 3] as const),
    ...closed.map((each, index) => [each, true, index % 3] as const),
  ].map(([each, isClosed, id]) => {
    const total = countersOf(each);
    const row = { record: each, closed: isClosed, total, last: total };
    return connectionTwin(row, PROCESSES[id - 1], EPHEMERAL);
  });
  const documents = (format: "json" | "msgpack"): Uint8Array => {
    using delta = fixture.state.delta("a", fixture.open(open), 1n);
    return fixture.encode(delta, format, "a", resolve);
  };

  test("JSON is byte for byte what JSON.stringify makes of the twin", () => {
    const text = new TextDecoder().decode(documents("json"));
    const { conns } = JSON.parse(text) as Connections;
    expect(conns.length).toBe(expected.length);
    for (const [index, twin] of expected.entries()) expect(conns[index]).toEqual(twin);
    expect(text).toContain(`"conns":${JSON.stringify(expected)},"dns"`);
  });

  test("msgpack is byte for byte what @msgpack/msgpack makes of the twin", () => {
    const bytes = documents("msgpack");
    const rows = Buffer.concat(expected.map((twin) => encode(twin)));
    expect(Buffer.from(bytes).includes(rows)).toBe(true);
  });

  test("msgpack decodes to the value of the JSON", () => {
    const json = JSON.parse(new TextDecoder().decode(documents("json")));
    expect(decode(documents("msgpack"))).toEqual(json);
  });
});

describe("fields of a row", () => {
  function connection(fields: Partial<ConnRecord>) {
    const fixture = new Fixture();
    const [found] = fixture.fetch("a", [record({ cookie: 1n, ...fields })]).conns;
    if (found === undefined) throw new Error("the connection was not reported");
    return found;
  }

  const ADDRESSES: [string, string][] = [
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["fe80::1", "fe80::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:1:0:0:0:0:0", "0:0:1::"],
    ["0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    ["abc:de:f:0:1000:100:10:1", "abc:de:f:0:1000:100:10:1"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:0:102:304", "::ffff:0:102:304"],
    ["::102:304", "::102:304"],
  ];
  test.each(ADDRESSES)("IPv6 address %s is written %s (RFC 5952)", (from, to) => {
    const { laddr, raddr, family } = connection({ laddr: ipv6(from), raddr: ipv6("2001:db8::1") });
    expect(laddr).toEqual({ ip: to, port: 40_000, containerId: "" });
    expect(raddr).toEqual({ ip: "2001:db8::1", port: 443, containerId: "" });
    expect(family).toBe("v6");
  });

  test("mapped addresses are IPv4, and so is the unspecified one beside them", () => {
    const { laddr, raddr, family } = connection({ laddr: ipv6("::"), raddr: v4(1, 20, 255, 0) });
    expect([laddr.ip, raddr.ip, family]).toEqual(["0.0.0.0", "1.20.255.0", "v4"]);
    expect(connection({ laddr: v4(0, 0, 0, 0), raddr: v4(8, 8, 8, 8) }).laddr.ip).toBe("0.0.0.0");
  });

  test("intraHost: the same address, or two of the loopback", () => {
    const intraHost = (laddr: Uint8Array, raddr: Uint8Array) =>
      connection({ laddr, raddr }).intraHost;
    expect(intraHost(v4(10, 0, 0, 1), v4(10, 0, 0, 1))).toBe(true);
    expect(intraHost(v4(127, 0, 0, 1), v4(127, 9, 9, 9))).toBe(true);
    expect(intraHost(ipv6("::1"), ipv6("::1"))).toBe(true);
    expect(intraHost(v4(127, 0, 0, 1), v4(10, 0, 0, 1))).toBe(false);
    expect(intraHost(v4(10, 0, 0, 1), v4(10, 0, 0, 2))).toBe(false);
  });

  test("the local port is ephemeral within the range, its ends included", () => {
    const ephemeral = (lport: number) => connection({ lport }).isLocalPortEphemeral;
    expect([32_767, 32_768, 60_999, 61_000].map(ephemeral)).toEqual([
      "ephemeralFalse",
      "ephemeralTrue",
      "ephemeralTrue",
      "ephemeralFalse",
    ]);
  });

  test("TCP has RTT and no drops; UDP has drops, which it did not receive", () => {
    const tcp = connection({ rtt: 180, rttvar: 40, dropped_packets: 1n });
    expect(tcp).toMatchObject({ type: "tcp", rtt: 180, rttVar: 40, lastTcpRtoCount: 0 });
    expect(tcp).not.toHaveProperty("lastPacketsDropped");
    const udp = connection({
      protocol: 17,
      recv_bytes: 100n,
      recv_packets: 5n,
      dropped_bytes: 60n,
      dropped_packets: 3n,
    });
    expect(udp).toMatchObject({
      type: "udp",
      lastBytesReceived: 40,
      monotonicBytesReceived: 40,
      lastPacketsReceived: 2,
      lastPacketsDropped: 3,
      monotonicPacketsDropped: 3,
    });
    expect(udp).not.toHaveProperty("rtt");
    expect(udp).not.toHaveProperty("lastTcpRtoCount");
  });

  test("a failure is told by its errno, and absent otherwise", () => {
    expect(connection({ error: 111 }).tcpFailuresByErrCode).toEqual({ "111": 1 });
    expect(connection({})).not.toHaveProperty("tcpFailuresByErrCode");
  });

  test("a closed connection has its duration where its birth was seen", () => {
    const fixture = new Fixture();
    fixture.state.register("a", 0n);
    fixture.close(record({ cookie: 1n, created: 1000n, closed_at: 5000n }));
    fixture.close(record({ cookie: 2n, created: 0n, closed_at: 5000n }));
    const open = record({ cookie: 3n, created: 1000n, closed_at: 5000n, closed: 1 });
    const { conns } = fixture.fetch("a", [open]);
    expect(conns.map(({ cookie, duration, isClosed }) => [cookie, duration, isClosed])).toEqual([
      ["3", 0, false],
      ["1", 4000, true],
      ["2", 0, true],
    ]);
  });
});
