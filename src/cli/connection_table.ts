import { isIPv6 } from "node:net";
import { constants } from "node:os";
import type { Address, Connection, Direction } from "../model/connection.ts";
import { type Column, renderTable } from "./table.ts";
import { formatBytes, formatRtt } from "./units.ts";

const DIRECTIONS: Record<Direction, string> = {
  incoming: "in",
  outgoing: "out",
  local: "local",
  none: "-",
  unspecified: "?",
};

const COLUMNS: readonly Column<Connection>[] = [
  { title: "TYPE", text: (connection) => connection.type },
  { title: "DIR", text: (connection) => DIRECTIONS[connection.direction] },
  { title: "LOCAL", text: (connection) => formatAddress(connection.laddr), shrinkTo: 15 },
  { title: "REMOTE", text: (connection) => formatAddress(connection.raddr), shrinkTo: 15 },
  { title: "PROCESS", text: formatProcess, shrinkTo: 10 },
  { title: "SENT", text: (c) => formatBytes(c.monotonicBytesSent), align: "right" },
  { title: "RECEIVED", text: (c) => formatBytes(c.monotonicBytesReceived), align: "right" },
  { title: "RTT", text: (c) => formatRtt(c.rtt), align: "right" },
  { title: "STATE", text: formatState },
];

/** A table of the connections, the most traffic first, no wider than `width` where that is possible. */
export function connectionTable(connections: readonly Connection[], width: number): string {
  const traffic = (c: Connection) => c.monotonicBytesSent + c.monotonicBytesReceived;
  const sorted = [...connections].sort((a, b) => traffic(b) - traffic(a));
  return renderTable(COLUMNS, sorted, width);
}

function formatAddress({ ip, port }: Address): string {
  return `${isIPv6(ip) ? `[${ip}]` : ip}:${port}`;
}

function formatProcess({ pid, process }: Connection): string {
  if (pid === 0) return "-";
  return process === undefined ? String(pid) : `${pid}/${process.comm}`;
}

/** "open", "closed", or what the connection failed with, by the name of the errno. */
function formatState({ isClosed, tcpFailuresByErrCode }: Connection): string {
  const [code] = Object.keys(tcpFailuresByErrCode ?? {});
  if (code === undefined) return isClosed ? "closed" : "open";
  const errno = Object.entries(constants.errno).find(([, number]) => number === Number(code));
  return errno?.[0] ?? `errno ${code}`;
}
