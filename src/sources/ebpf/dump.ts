/** Maps as text, for a person who looks for a mistake: nothing is interpreted, only laid out. */
import { type BpfMap, MapType } from "../../../ffi/bpf_map.ts";
import { conn } from "../../../ffi/layout.gen.ts";

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

/** Number of entries: the kernel does not keep it, so the keys are walked. */
export function countEntries(map: BpfMap): number {
  if (map.type === MapType.PERCPU_ARRAY) return map.maxEntries;
  let count = 0;
  for (const _ of keys(map)) count++;
  return count;
}

/**
 * Each key in a buffer of its own. When the key before was deleted meanwhile the kernel starts over, so
 * the walk is bounded, and on a busy map a key may come twice.
 */
function* keys(map: BpfMap): Generator<Uint8Array> {
  let previous: Uint8Array | null = null;
  for (let left = map.maxEntries; left > 0; left--) {
    const key: Uint8Array = new Uint8Array(map.keySize);
    if (!map.nextKey(previous, key)) return;
    yield key;
    previous = key;
  }
}

function* entries(map: BpfMap): Generator<{ key: Uint8Array; value: Uint8Array }> {
  const value = new Uint8Array(map.lookupSize);
  for (const key of keys(map)) {
    if (map.lookup(key, value)) yield { key, value };
  }
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
