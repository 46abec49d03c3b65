import { conn } from "../../../ffi/layout.gen.ts";

/** A `struct conn` as an object, under its C names. */
export interface ConnRecord {
  cookie: bigint;
  created: bigint;
  updated: bigint;
  closed_at: bigint;
  sent_bytes: bigint;
  recv_bytes: bigint;
  sent_packets: bigint;
  recv_packets: bigint;
  dropped_bytes: bigint;
  dropped_packets: bigint;
  /** 16 bytes. */
  laddr: Uint8Array;
  raddr: Uint8Array;
  lport: number;
  rport: number;
  netns: number;
  pid: number;
  uid: number;
  rtt: number;
  rttvar: number;
  retransmits: number;
  rto_count: number;
  reord_seen: number;
  delivered_ce: number;
  error: number;
  established: number;
  closed: number;
  protocol: number;
  direction: number;
  state: number;
  owner: number;
  process: number;
  flags: number;
}

type FieldName = keyof ConnRecord;

/** Width of each field in bytes; 16 is an address. Offsets come from bpf/abi.h. */
const WIDTHS: Record<FieldName, 1 | 2 | 4 | 8 | 16> = {
  cookie: 8,
  created: 8,
  updated: 8,
  closed_at: 8,
  sent_bytes: 8,
  recv_bytes: 8,
  sent_packets: 8,
  recv_packets: 8,
  dropped_bytes: 8,
  dropped_packets: 8,
  laddr: 16,
  raddr: 16,
  lport: 2,
  rport: 2,
  netns: 4,
  pid: 4,
  uid: 4,
  rtt: 4,
  rttvar: 4,
  retransmits: 4,
  rto_count: 4,
  reord_seen: 4,
  delivered_ce: 4,
  error: 2,
  established: 1,
  closed: 1,
  protocol: 1,
  direction: 1,
  state: 1,
  owner: 1,
  process: 4,
  flags: 4,
};
const FIELDS = Object.keys(WIDTHS) as FieldName[];

/** Reads the `struct conn` at `offset`. */
export function readRecord(bytes: Uint8Array, offset: number): ConnRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, conn.size);
  const values = FIELDS.map((name) => [name, readField(view, conn[name], WIDTHS[name])]);
  return Object.fromEntries(values) as ConnRecord;
}

/** Writes a `struct conn` at `offset`. */
export function writeRecord(bytes: Uint8Array, offset: number, record: ConnRecord): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, conn.size);
  for (const name of FIELDS) writeField(view, conn[name], WIDTHS[name], record[name]);
}

function readField(view: DataView, at: number, width: number): bigint | number | Uint8Array {
  if (width === 16) return new Uint8Array(view.buffer, view.byteOffset + at, 16).slice();
  if (width === 8) return view.getBigUint64(at, true);
  if (width === 4) return view.getUint32(at, true);
  return width === 2 ? view.getUint16(at, true) : view.getUint8(at);
}

function writeField(
  view: DataView,
  at: number,
  width: number,
  value: bigint | number | Uint8Array,
): void {
  if (value instanceof Uint8Array) {
    new Uint8Array(view.buffer, view.byteOffset + at, 16).set(value);
  } else if (width === 8) view.setBigUint64(at, BigInt(value), true);
  else if (width === 4) view.setUint32(at, Number(value), true);
  else if (width === 2) view.setUint16(at, Number(value), true);
  else view.setUint8(at, Number(value));
}
