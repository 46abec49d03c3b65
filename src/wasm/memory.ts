import { PortolanError } from "../model/errors.ts";

const PAGE = 65_536;
/** Kernels' constants and stack lie below this; `loadKernels` checks that they do. */
export const RESERVED = 16 * PAGE;
/** Start and size of every block are multiples of this: a cache line. */
const ALIGN = 64;
/**
 * Blocks below this size are taken from the top of the memory, so that long-lived small ones never
 * split the rest.
 */
const SMALL = 4096;

interface Extent {
  offset: number;
  bytes: number;
}

/**
 * One WebAssembly memory of fixed size in which connection records, tables and rows live, and its
 * allocator: first fit over a list of free extents in order of address. There are few blocks and
 * each holds many records, so that exact sizes are worth more than constant time; size classes
 * would waste up to half of the largest tables. Pages that were never touched cost nothing, and low
 * addresses are reused first.
 *
 * The memory never grows: views stay valid, and its address can be handed to native code once.
 */
export class RecordMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly #free: Extent[];
  readonly #sizes = new Map<number, number>();
  #used = 0;

  /** @param capacity bytes, a multiple of 64 KiB */
  constructor(capacity = 1024 ** 3) {
    const pages = capacity / PAGE;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.#free = [{ offset: RESERVED, bytes: capacity - RESERVED }];
  }

  /** Bytes in use by blocks. */
  get used(): number {
    return this.#used;
  }

  /** Bytes that blocks can use. */
  get capacity(): number {
    return this.bytes.length - RESERVED;
  }

  /**
   * A block of at least this size, with whatever its last owner left in it.
   * @throws PortolanError when no free extent is large enough
   */
  alloc(bytes: number): number {
    const size = roundUp(bytes);
    const fits = (extent: Extent) => extent.bytes >= size;
    const small = size < SMALL;
    const at = small ? this.#free.findLastIndex(fits) : this.#free.findIndex(fits);
    const extent = this.#free[at];
    if (extent === undefined) {
      const reason = `no gap is large enough; ${this.#used} of ${this.capacity} bytes are in use`;
      throw new PortolanError("allocate", `${bytes} bytes of record memory`, reason);
    }
    extent.bytes -= size;
    const offset = small ? extent.offset + extent.bytes : extent.offset;
    if (!small) extent.offset += size;
    if (extent.bytes === 0) this.#free.splice(at, 1);
    this.#sizes.set(offset, size);
    this.#used += size;
    return offset;
  }

  /** A block of zeros. */
  allocZeroed(bytes: number): number {
    const offset = this.alloc(bytes);
    this.bytes.fill(0, offset, offset + bytes);
    return offset;
  }

  /** Gives a block back. */
  free(offset: number): void {
    const bytes = this.#size(offset, "free");
    this.#sizes.delete(offset);
    this.#release({ offset, bytes });
  }

  /** Gives back all but the first `bytes` of a block. */
  shrink(offset: number, bytes: number): void {
    const size = this.#size(offset, "shrink");
    const kept = roundUp(bytes);
    if (kept >= size) return;
    this.#sizes.set(offset, kept);
    this.#release({ offset: offset + kept, bytes: size - kept });
  }

  /** Size of an allocated block; an offset that is none is a mistake in our own code. */
  #size(offset: number, operation: string): number {
    const size = this.#sizes.get(offset);
    if (size === undefined) {
      throw new PortolanError(operation, `record memory at ${offset}`, "no block begins there");
    }
    return size;
  }

  #release(block: Extent): void {
    this.#used -= block.bytes;
    const free = this.#free;
    const at = firstAbove(free, block.offset);
    const before = free[at - 1];
    const after = free[at];
    const joinsBefore = before !== undefined && before.offset + before.bytes === block.offset;
    const joinsAfter = after !== undefined && block.offset + block.bytes === after.offset;
    if (joinsBefore) {
      before.bytes += block.bytes + (joinsAfter ? after.bytes : 0);
      if (joinsAfter) free.splice(at, 1);
    } else if (joinsAfter) {
      after.offset = block.offset;
      after.bytes += block.bytes;
    } else {
      free.splice(at, 0, block);
    }
  }
}

/** Also for 0 bytes a block of its own, so that every offset is of one block only. */
function roundUp(bytes: number): number {
  return Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
}

/** Index of the first extent behind this offset. */
function firstAbove(extents: readonly Extent[], offset: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const extent = extents[middle];
    if (extent !== undefined && extent.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
