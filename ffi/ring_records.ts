/** BPF_RINGBUF_BUSY_BIT: still being written. */
const BUSY = 1 << 31;
/** BPF_RINGBUF_DISCARD_BIT: given up by its writer. */
const DISCARDED = 1 << 30;
/** BPF_RINGBUF_HDR_SZ */
const HEADER_SIZE = 8;

/** Called with the place of one record's data, in bytes from the start of the ring's data. */
export type RecordHandler = (offset: number, length: number) => void;

const fence = new Int32Array(1);

/**
 * Walks the records of a BPF ring buffer (kernel/bpf/ringbuf.c): plain arithmetic on memory that somebody
 * else maps.
 *
 * A record is a header (u32 length with two flags, u32 page offset) and its data, padded to 8 bytes.
 * Positions count bytes since the ring was made; as numbers they are exact up to 2^53.
 */
export class RingRecords {
  readonly #words: Int32Array;
  readonly #mask: number;

  /**
   * @param words the ring's data. Read without Atomics, as it may be mapped read-only (see Mapping)
   * @param size bytes of the ring, a power of two
   * @param position where the first record begins that has not been consumed
   */
  constructor(
    words: Int32Array,
    size: number,
    public position: number,
  ) {
    this.#words = words;
    this.#mask = size - 1;
  }

  /**
   * Hands out the finished records in order, up to the first that is still being written. A record
   * counts as consumed when its handler is called, also if the handler throws.
   *
   * @param producer position up to which records have been reserved
   * @param budget records to pass at most, discarded ones included
   * @returns how many were handed out
   */
  drain(producer: number, onRecord: RecordHandler, budget: number): number {
    const end = this.#findFinished(producer, budget);
    // Two passes with one fence between them: on arm64 data could be read before the header that says
    // that it is complete, and JavaScript has no load-acquire for read-only memory.
    Atomics.add(fence, 0, 0);
    let handed = 0;
    while (this.position < end) {
      const offset = this.position & this.#mask;
      const header = this.#words[offset >>> 2] ?? BUSY;
      this.position += stepOf(header);
      if ((header & DISCARDED) !== 0) continue;
      handed++;
      onRecord(offset + HEADER_SIZE, header); // neither flag is set: the length
    }
    return handed;
  }

  #findFinished(producer: number, budget: number): number {
    let { position } = this;
    for (let left = budget; position < producer && left > 0; left--) {
      const header = this.#words[(position & this.#mask) >>> 2] ?? BUSY;
      if ((header & BUSY) !== 0) break;
      position += stepOf(header);
    }
    return position;
  }
}

/** Bytes from this record's header to the next one's. */
function stepOf(header: number): number {
  const length = header & ~(BUSY | DISCARDED);
  return (HEADER_SIZE + length + 7) & ~7;
}
