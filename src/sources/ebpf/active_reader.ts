/** Copies a hash map of records from the kernel into the record memory. */
import type { BpfMap } from "../../../ffi/bpf_map.ts";
import { addressOf } from "../../../ffi/pointer.ts";
import type { Segment } from "../../model/segment.ts";
import type { RecordSpace } from "../source.ts";

/** Entries of room beyond what is expected: a bucket is read whole or not at all. */
const SLACK = 512;

/**
 * Reads one map again and again. The blocks stay allocated between reads and grow with the map, up to
 * its capacity.
 */
export class ActiveReader {
  private capacity = 0;
  private keys = 0;
  private values = 0;
  private readonly base: number;

  constructor(
    private readonly memory: RecordSpace,
    private readonly map: BpfMap,
  ) {
    this.base = addressOf(memory.bytes);
  }

  /**
   * All entries of the map; valid until the next call.
   *
   * @param expected how many there are, as far as is known
   */
  read(expected: number): Segment {
    const wanted = expected + Math.ceil(expected / 16) + SLACK;
    if (this.capacity < wanted) this.reserve(wanted);
    for (;;) {
      const { count, truncated } = this.map.readAll({
        keys: this.base + this.keys,
        values: this.base + this.values,
        capacity: this.capacity,
      });
      if (!truncated) return { offset: this.values, stride: this.map.valueSize, count };
      this.reserve(this.capacity * 2);
    }
  }

  private reserve(capacity: number): void {
    if (this.capacity > 0) {
      this.memory.free(this.keys);
      this.memory.free(this.values);
    }
    this.capacity = capacity;
    this.keys = this.memory.alloc(capacity * this.map.keySize);
    this.values = this.memory.alloc(capacity * this.map.valueSize);
  }
}
