import { conn } from "../../ffi/layout.gen.ts";
import type { RecordMemory } from "../wasm/memory.ts";

const RECORDS_PER_BLOCK = 1024;

/**
 * Closed connections that at least one client has not been told of: one log for all clients, each
 * of which reads it up to its own position. Positions count records since the start and never
 * repeat.
 *
 * Storing costs the same whatever the number of clients. A store per client was rejected: it
 * multiplies memory and work by the clients, and a client that never returns would still cost all
 * of it.
 *
 * Capacity: `capacity` records of 168 bytes, in blocks of 1024. When it is full the oldest goes,
 * and whoever had not read it has lost it (`position < start` tells a reader how many).
 */
export class ClosedLog {
  /** Position of the oldest record. */
  start = 0;
  /** Position that the next record will have. */
  end = 0;
  readonly #memory: RecordMemory;
  readonly #blocks: number[] = [];
  /** Number of the first of `#blocks`, counted since the start. */
  #firstBlock = 0;

  constructor(
    memory: RecordMemory,
    /** Most records kept. */
    readonly capacity: number,
  ) {
    this.#memory = memory;
  }

  get bytes(): number {
    return this.#blocks.length * RECORDS_PER_BLOCK * conn.size;
  }

  /**
   * Appends the `struct conn` at `offset` of `source`, owned by the process with this slot.
   * @throws PortolanError when the record memory is full
   */
  append(source: Uint8Array, offset: number, process: number): void {
    if (this.end % RECORDS_PER_BLOCK === 0) {
      this.#blocks.push(this.#memory.alloc(RECORDS_PER_BLOCK * conn.size));
    }
    const to = this.#address(this.end);
    this.#memory.bytes.set(source.subarray(offset, offset + conn.size), to);
    this.#memory.view.setUint32(to + conn.process, process, true);
    this.end++;
    this.start = Math.max(this.start, this.end - this.capacity);
  }

  /** Calls back for each run of records that lie one after another, from `position` to the end. */
  forEachRun(position: number, visit: (offset: number, count: number) => void): void {
    for (let at = position; at < this.end; ) {
      const blockEnd = at - (at % RECORDS_PER_BLOCK) + RECORDS_PER_BLOCK;
      const count = Math.min(blockEnd, this.end) - at;
      visit(this.#address(at), count);
      at += count;
    }
  }

  /** Forgets what lies before `position`, and gives back the blocks without records. */
  release(position: number): void {
    this.start = Math.max(this.start, position);
    const first = Math.floor(this.start / RECORDS_PER_BLOCK);
    if (first === this.#firstBlock) return;
    for (const block of this.#blocks.splice(0, first - this.#firstBlock)) this.#memory.free(block);
    this.#firstBlock = first;
  }

  #address(position: number): number {
    const block = Math.floor(position / RECORDS_PER_BLOCK) - this.#firstBlock;
    const offset = this.#blocks[block];
    if (offset === undefined) throw new RangeError(`no closed connection at position ${position}`);
    return offset + (position % RECORDS_PER_BLOCK) * conn.size;
  }
}
