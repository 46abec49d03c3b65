/**
 * The `Connections` document, as `GET /connections` serves it. Field names and meanings follow the
 * message of the same name that system-probe serves to its agent.
 *
 * `last…` is the asking client's share since its last call, `monotonic…` the total since the
 * connection was first seen. Times are in nanoseconds of CLOCK_MONOTONIC. Counters are 64 bits wide
 * and written in full; above 2^53 a reader that parses them into a double loses their last digits.
 */
export interface Connections {
  clientId: string;
  /** When the document was made. */
  latestTime: number;
  /** Open connections first, closed ones after. */
  conns: Connection[];
  /** Names known for the addresses in `conns`, by address. */
  dns: Record<string, { names: string[] }>;
  /** Queried names; the keys of `dnsStatsByDomainByQueryType` are indices of this list. */
  domains: string[];
  routes: Route[];
  tags: string[];
  /** Counters of the tracer; those of losses are the client's own. */
  connTelemetryMap: Record<string, number>;
}

/** A connection, or a UDP flow between two addresses, as one end of it sees it. */
export interface Connection {
  /** Process that owns the socket (its tgid); 0 unknown. */
  pid: number;
  /** Inode number of the network namespace. */
  netNS: number;
  laddr: Address;
  raddr: Address;
  family: "v4" | "v6";
  type: "tcp" | "udp";
  direction: Direction;
  /** Whether the local port is in the range that the kernel picks from. */
  isLocalPortEphemeral: "ephemeralUnspecified" | "ephemeralTrue" | "ephemeralFalse";
  /** Both ends are on this host. */
  intraHost: boolean;

  /** Payload, without retransmissions. */
  lastBytesSent: number;
  /** Payload that the socket took. */
  lastBytesReceived: number;
  /** TCP segments or UDP datagrams. */
  lastPacketsSent: number;
  lastPacketsReceived: number;
  /** TCP segments sent again. */
  lastRetransmits: number;
  /** 1 when the connection was established in this time. */
  lastTcpEstablished: number;
  /** 1 when the connection reached its end in this time. */
  lastTcpClosed: number;
  monotonicBytesSent: number;
  monotonicBytesReceived: number;
  monotonicPacketsSent: number;
  monotonicPacketsReceived: number;
  monotonicRetransmits: number;
  /** UDP only: datagrams that the socket's receive buffer had no room for. */
  monotonicPacketsDropped?: number;
  lastPacketsDropped?: number;

  /** Microseconds, smoothed; TCP only, 0 without a sample. */
  rtt?: number;
  /** Microseconds; TCP only. */
  rttVar?: number;
  /** errno of the failure that ended the connection → how often. */
  tcpFailuresByErrCode?: Record<string, number>;
  /** Retransmission timeouts; TCP only, as are the two below. */
  lastTcpRtoCount?: number;
  /** Reordering events. */
  lastTcpReordSeen?: number;
  /** Packets delivered with a congestion mark. */
  lastTcpDeliveredCe?: number;

  /** Index in `routes`; -1 none. */
  routeIdx: number;
  protocol: { stack: string[] };
  /** Nothing more will be told of this connection. */
  isClosed: boolean;
  /**
   * Nanoseconds from the first to the last moment; 0 while open, and where the beginning wasn't
   * seen.
   */
  duration: number;
  /** When a counter last changed or was read. */
  lastUpdate: number;
  /** Identity of the kernel's connection: a u64 in decimal. */
  cookie: string;
  /** Absent when unknown. */
  process?: Process;
  /** Indices in `tags`. */
  tags: number[];
}

/** Who opened a connection; `none` where that has no meaning. */
export type Direction = "unspecified" | "incoming" | "outgoing" | "local" | "none";

/** One end of a connection. */
export interface Address {
  /** Dotted IPv4, also of mapped addresses, or IPv6 in the form of RFC 5952. */
  ip: string;
  port: number;
  /** "" for the host itself. */
  containerId: string;
}

/** The process that owns a connection. */
export interface Process {
  /** At most 15 bytes. */
  comm: string;
  /** Path of the executable; "" unknown. */
  exe: string;
  ppid: number;
  /** Effective user id. */
  uid: number;
  /** Milliseconds since the Unix epoch. */
  startTime: number;
}

/** The way to a remote address. */
export interface Route {
  subnet: { alias: string };
  interface: { hardwareAddr: string };
  gateway: string;
  device: string;
}
