import type { BpfMap } from "./bpf_map.ts";
import { NativeError } from "./errors.ts";
import type { Libbpf } from "./libbpf.ts";
import { EBUSY, EINTR, ENOENT, ENOSPC } from "./libc.ts";
import { toPointer } from "./pointer.ts";

/** Entries asked for at once; between 1k and 64k the cost per entry is the same. */
const BATCH = 16384;

/** Interruptions in a row without an entry read, after which a read fails. */
const MAX_INTERRUPTIONS = 100;

/**
 * Where to put the entries, as numeric addresses: of a WebAssembly.Memory, or of a typed array that the
 * caller keeps alive.
 */
export interface MapMemory {
  /** Address of `capacity` keys of `keySize` bytes. */
  keys: number;
  /** Address of `capacity` values of `lookupSize` bytes. */
  values: number;
  /** Entries that fit. */
  capacity: number;
}

/** What a read of a whole map found. */
export interface MapContents {
  /** Entries written, from the beginning of the memory. */
  count: number;
  /** Whether there may be more entries than the memory could take. */
  truncated: boolean;
}

/**
 * Reads a whole hash map with BPF_MAP_LOOKUP_BATCH (Linux 5.6), about 300 ns an entry where a lookup
 * per key takes 1,300 to 2,300. The kernel copies bucket by bucket, so an entry present during the whole
 * read is told once, unless it is deleted and created again meanwhile.
 */
export class MapReader {
  readonly #libbpf: Libbpf;
  readonly #map: BpfMap;
  readonly #count = new Uint32Array(1);
  /** The kernel's place in the map: the number of a bucket. */
  readonly #place = new Uint32Array(2);

  constructor(libbpf: Libbpf, map: BpfMap) {
    this.#libbpf = libbpf;
    this.#map = map;
  }

  /**
   * Reads all entries, never more than fit. Give room for some more than there are: a bucket is copied
   * whole or not at all, so the read ends (`truncated`) where the next one does not fit.
   *
   * @throws NativeError
   */
  read(memory: MapMemory): MapContents {
    const { fd, keySize, lookupSize, name } = this.#map;
    let count = 0;
    let batch = BATCH;
    let interruptions = 0;
    let started = false;
    while (count < memory.capacity) {
      const wanted = Math.min(batch, memory.capacity - count);
      this.#count[0] = wanted;
      const result = this.#libbpf.symbols.bpf_map_lookup_batch(
        fd,
        started ? this.#place : null,
        this.#place,
        toPointer(memory.keys + count * keySize),
        toPointer(memory.values + count * lookupSize),
        this.#count,
        null,
      );
      started = true;
      const transient = result === -EINTR || result === -EBUSY;
      if (result === 0 || result === -ENOENT || transient) {
        const read = this.#count[0] ?? 0;
        count += read;
        // The last entries come together with the error that says that there are no more.
        if (result === -ENOENT) return { count, truncated: false };
        interruptions = transient && read === 0 ? interruptions + 1 : 0;
        if (interruptions <= MAX_INTERRUPTIONS) continue;
      } else if (result === -ENOSPC) {
        // A bucket with more entries than asked for.
        if (wanted === memory.capacity - count) break;
        batch = memory.capacity - count;
        continue;
      }
      throw NativeError.fromErrno("read BPF map", name, -result);
    }
    return { count, truncated: true };
  }
}
