import type { RecordMemory } from "../wasm/memory.ts";

/**
 * A zeroed open-addressing table of u32 that is at most half full with this many elements
 * (src/wasm/index.h).
 */
export function allocSlots(
  memory: RecordMemory,
  elements: number,
): { slots: number; mask: number } {
  const length = 2 ** Math.ceil(Math.log2(2 * Math.max(1, elements)));
  return { slots: memory.allocZeroed(length * 4), mask: length - 1 };
}

/**
 * An array of structs that begin with a cookie, and the table by which kernels find them. The
 * kernels append; `count` is set by who called them.
 */
export class IndexedArray {
  readonly offset: number;
  readonly slots: number;
  readonly mask: number;
  count = 0;
  readonly #memory: RecordMemory;
  readonly #stride: number;

  constructor(memory: RecordMemory, stride: number, capacity: number) {
    this.#memory = memory;
    this.#stride = stride;
    const { slots, mask } = allocSlots(memory, capacity);
    this.slots = slots;
    this.mask = mask;
    try {
      this.offset = memory.alloc(capacity * stride);
    } catch (error) {
      memory.free(slots);
      throw error;
    }
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.count * this.#stride + (this.mask + 1) * 4;
  }

  /** Gives back what is behind the last element. */
  shrink(): void {
    this.#memory.shrink(this.offset, this.count * this.#stride);
  }

  free(): void {
    this.#memory.free(this.offset);
    this.#memory.free(this.slots);
  }
}
