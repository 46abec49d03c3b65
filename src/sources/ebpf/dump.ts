/** Maps as text, for a person who looks for a mistake: nothing is interpreted, only laid out. */
import { type BpfMap, MapType } from "../../../ffi/bpf_map.ts";
import { conn } from "../../../ffi/layout.gen.ts";
import { entries } from "./map_entries.ts";

/** Maps whose values begin with a `struct conn`. */
const RECORDS = new Set(["tcp_conns", "udp_flows"]);

/** Field name, offset and size, in the order of the struct. */
const FIELDS = Object.entries(conn)
  .filter(([name]) => name !== "size")
  .sort(([, a], [, b]) => a - b)
  .map(([name, offset], index, all) => {
    return { name, offset, size: (all[index + 1]?.[1] ?? conn.size) - offset };
  });

/** One line for the map, then one for each entry: its key in hexadecimal, its value by field. */
export function dumpMap(map: BpfMap): string {
  const head = `${map.name}: key ${map.keySize} bytes, value ${map.valueSize} bytes, capacity ${map.maxEntries}`;
  if (map.type === MapType.RINGBUF) return `${head}\n`;
  const lines = [...entries(map)].map(
    ({ key, value }) =>
      `  ${hex(key)}: ${RECORDS.has(map.name) ? describeRecord(value) : hex(value)}`,
  );
  return `${head}, entries ${lines.length}\n${lines.map((line) => `${line}\n`).join("")}`;
}

function describeRecord(value: Uint8Array): string {
  const view = new DataView(value.buffer, value.byteOffset);
  return FIELDS.map(({ name, offset, size }) => `${name}=${readField(view, offset, size)}`).join(
    " ",
  );
}

function readField(view: DataView, offset: number, size: number): string {
  switch (size) {
    case 1:
      return `${view.getUint8(offset)}`;
    case 2:
      return `${view.getUint16(offset, true)}`;
    case 4:
      return `${view.getUint32(offset, true)}`;
    case 8:
      return `${view.getBigUint64(offset, true)}`;
    default:
      return hex(new Uint8Array(view.buffer, view.byteOffset + offset, size));
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
