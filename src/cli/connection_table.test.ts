import { expect, test } from "bun:test";
import type { Connection } from "../model/connection.ts";
import { connectionTable } from "./connection_table.ts";

const CONNECTION: Connection = {
  pid: 4242,
  netNS: 4_026_531_840,
  laddr: { ip: "10.0.0.2", port: 43512, containerId: "" },
  raddr: { ip: "10.0.0.9", port: 443, containerId: "" },
  family: "v4",
  type: "tcp",
  direction: "outgoing",
  isLocalPortEphemeral: "ephemeralTrue",
  intraHost: false,
  lastBytesSent: 0,
  lastBytesReceived: 0,
  lastPacketsSent: 0,
  lastPacketsReceived: 0,
  lastRetransmits: 0,
  lastTcpEstablished: 0,
  lastTcpClosed: 0,
  monotonicBytesSent: 1536,
  monotonicBytesReceived: 5,
  monotonicPacketsSent: 0,
  monotonicPacketsReceived: 0,
  monotonicRetransmits: 0,
  rtt: 180,
  rttVar: 40,
  routeIdx: -1,
  protocol: { stack: ["protocolUnclassified"] },
  isClosed: false,
  duration: 0,
  lastUpdate: 0,
  cookie: "1",
  process: { comm: "curl", exe: "/usr/bin/curl", ppid: 1, uid: 0, startTime: 0 },
  tags: [],
};

const cells = (connection: Connection): string[] =>
  connectionTable([connection], 200).split("\n")[1]?.split(/ {2,}/) ?? [];

test("a row says who talks to whom, how much and how fast", () => {
  expect(cells(CONNECTION)).toEqual([
    "tcp",
    "out",
    "10.0.0.2:43512",
    "10.0.0.9:443",
    "4242/curl",
    "1.5 KiB",
    "5 B",
    "0.18 ms",
    "open",
  ]);
});

test("IPv6 stands in brackets", () => {
  const row = cells({ ...CONNECTION, raddr: { ip: "2001:db8::1", port: 53, containerId: "" } });
  expect(row[3]).toBe("[2001:db8::1]:53");
});

test("what is unknown is not invented", () => {
  const { process: _process, rtt: _rtt, ...rest } = CONNECTION;
  expect(cells(rest)[4]).toBe("4242");
  expect(cells({ ...rest, pid: 0, direction: "unspecified" }).slice(0, 2)).toEqual(["tcp", "?"]);
  expect(cells({ ...rest, pid: 0 })[4]).toBe("-");
  expect(cells(rest)[7]).toBe("-");
});

test("the state names the failure", () => {
  expect(cells({ ...CONNECTION, isClosed: true })[8]).toBe("closed");
  const failed = (code: string) => ({ ...CONNECTION, tcpFailuresByErrCode: { [code]: 1 } });
  expect(cells(failed("111"))[8]).toBe("ECONNREFUSED");
  expect(cells(failed("110"))[8]).toBe("ETIMEDOUT");
  expect(cells(failed("4000"))[8]).toBe("errno 4000");
});

test("the most traffic comes first", () => {
  const table = connectionTable(
    [CONNECTION, { ...CONNECTION, monotonicBytesReceived: 2 ** 40 }],
    200,
  );
  expect(table.split("\n")[1]).toContain("TiB");
});

test("full addresses of IPv4 fit in 120 columns, and IPv6 is cut to fit", () => {
  const v4 = { ip: "255.255.255.255", port: 65535, containerId: "" };
  const v6 = { ip: "2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff", port: 65535, containerId: "" };
  const long = {
    ...CONNECTION,
    pid: 4_194_304,
    process: { comm: "fifteen-bytes-x", exe: "", ppid: 1, uid: 0, startTime: 0 },
    monotonicBytesSent: 2 ** 60 - 1,
    monotonicBytesReceived: 1_047_552,
    rtt: 123_456,
    tcpFailuresByErrCode: { "111": 1 },
  };
  const [, row = ""] = connectionTable([{ ...long, laddr: v4, raddr: v4 }], 120).split("\n");
  expect(row).toContain("255.255.255.255:65535  255.255.255.255:65535  4194304/");
  expect(row.length).toBeLessThanOrEqual(120);
  const [, cut = ""] = connectionTable([{ ...long, laddr: v6, raddr: v6 }], 120).split("\n");
  expect(cut.length).toBeLessThanOrEqual(120);
  expect(cut).toContain("…");
});
