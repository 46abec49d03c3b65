/** The twin of json.c and msgpack.c: a row as the object that both of them encode. */
import type { Address, Connection, Direction, Process } from "../../model/connection.ts";
import type { TwinRow } from "./delta.ts";
import type { ConnRecord } from "./record.ts";

const IPPROTO_TCP = 6;
const DIRECTIONS: Direction[] = ["unspecified", "incoming", "outgoing", "local", "none"];

/** The connection of a row, its members in the order of the document. */
export function connectionTwin(
  row: TwinRow,
  process: Process | undefined,
  ephemeral: { first: number; last: number },
): Connection {
  const { record, total, last } = row;
  const tcp = record.protocol === IPPROTO_TCP;
  const v4 = isMapped(record.laddr) || isMapped(record.raddr);
  const inRange = record.lport >= ephemeral.first && record.lport <= ephemeral.last;
  return {
    pid: record.pid,
    netNS: record.netns,
    laddr: endpoint(record.laddr, record.lport, v4),
    raddr: endpoint(record.raddr, record.rport, v4),
    family: v4 ? "v4" : "v6",
    type: tcp ? "tcp" : "udp",
    direction: DIRECTIONS[record.direction] ?? "unspecified",
    isLocalPortEphemeral: inRange ? "ephemeralTrue" : "ephemeralFalse",
    intraHost: isIntraHost(record, v4),
    lastBytesSent: Number(last.sent_bytes),
    lastBytesReceived: Number(last.recv_bytes),
    lastPacketsSent: Number(last.sent_packets),
    lastPacketsReceived: Number(last.recv_packets),
    lastRetransmits: Number(last.retransmits),
    lastTcpEstablished: Number(last.established),
    lastTcpClosed: Number(last.closed),
    monotonicBytesSent: Number(total.sent_bytes),
    monotonicBytesReceived: Number(total.recv_bytes),
    monotonicPacketsSent: Number(total.sent_packets),
    monotonicPacketsReceived: Number(total.recv_packets),
    monotonicRetransmits: Number(total.retransmits),
    ...(!tcp && {
      monotonicPacketsDropped: Number(total.dropped_packets),
      lastPacketsDropped: Number(last.dropped_packets),
    }),
    ...(tcp && { rtt: record.rtt, rttVar: record.rttvar }),
    ...(record.error !== 0 && { tcpFailuresByErrCode: { [record.error]: 1 } }),
    ...(tcp && {
      lastTcpRtoCount: Number(last.rto_count),
      lastTcpReordSeen: Number(last.reord_seen),
      lastTcpDeliveredCe: Number(last.delivered_ce),
    }),
    routeIdx: -1,
    protocol: { stack: ["protocolUnclassified"] },
    isClosed: row.closed,
    duration: row.closed ? duration(record) : 0,
    lastUpdate: Number(record.updated),
    cookie: record.cookie.toString(),
    ...(process !== undefined && { process }),
    tags: [],
  };
}

function duration({ created, closed_at }: ConnRecord): number {
  return created === 0n || closed_at < created ? 0 : Number(closed_at - created);
}

function isMapped(address: Uint8Array): boolean {
  return address.toHex().startsWith("00000000000000000000ffff");
}

function endpoint(address: Uint8Array, port: number, v4: boolean): Address {
  return { ip: addressTwin(address, v4), port, containerId: "" };
}

/** An address as text; the runtime's URL parser knows the canonical form of IPv6. */
export function addressTwin(address: Uint8Array, v4: boolean): string {
  const hex = address.toHex();
  if (isMapped(address)) return address.subarray(12).join(".");
  if (v4 && /^0*$/.test(hex)) return "0.0.0.0";
  return new URL(`http://[${hex.match(/..../g)?.join(":")}]`).hostname.slice(1, -1);
}

function isIntraHost({ laddr, raddr }: ConnRecord, v4: boolean): boolean {
  const loopback = (text: string) => text === "::1" || /^127(\.\d+){3}$/.test(text);
  const [local, remote] = [addressTwin(laddr, v4), addressTwin(raddr, v4)];
  return laddr.toHex() === raddr.toHex() || (loopback(local) && loopback(remote));
}
