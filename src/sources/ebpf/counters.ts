/** The kernel programs' own counters of losses and repairs. */
import type { BpfMap } from "../../../ffi/bpf_map.ts";
import { counter } from "../../../ffi/layout.gen.ts";

const PREFIX = "COUNTER_";
const NAMES = Object.entries(counter)
  .filter(([name]) => name !== "COUNTER_MAX")
  .map(([name, index]) => [name.slice(PREFIX.length).toLowerCase(), index] as const);

/** Sums a per-CPU array of u64 that is indexed by `enum counter` (bpf/abi.h). */
export class CounterReader {
  private readonly key = new Uint32Array(1);
  private readonly keyBytes = new Uint8Array(this.key.buffer);
  private readonly values: BigUint64Array;
  private readonly valueBytes: Uint8Array;

  constructor(private readonly map: BpfMap) {
    this.valueBytes = new Uint8Array(map.lookupSize);
    this.values = new BigUint64Array(this.valueBytes.buffer);
  }

  /** All counters by name, such as `tcp_map_full`; absolute. */
  read(): Record<string, number> {
    return Object.fromEntries(NAMES.map(([name, index]) => [name, this.sum(index)]));
  }

  private sum(index: number): number {
    this.key[0] = index;
    this.map.lookup(this.keyBytes, this.valueBytes);
    return Number(this.values.reduce((total, value) => total + value, 0n));
  }
}
