/** Walking small maps key by key, where a batch would need memory set aside. */
import { type BpfMap, MapType } from "../../../ffi/bpf_map.ts";

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

/** All entries; each key and value in a buffer of its own. */
export function* entries(map: BpfMap): Generator<{ key: Uint8Array; value: Uint8Array }> {
  for (const key of keys(map)) {
    const value = new Uint8Array(map.lookupSize);
    if (map.lookup(key, value)) yield { key, value };
  }
}
