import { encode } from "@msgpack/msgpack";
import type { Process } from "../model/connection.ts";
import type { RecordMemory } from "../wasm/memory.ts";
import type { ClosedLog } from "./closed_log.ts";

/** The header of `struct process_text` (src/wasm/encoder.h): two u32 lengths. */
const HEADER = 8;
const FIRST_CAPACITY = 256;
const encoder = new TextEncoder();

/**
 * The `process` objects of a document, encoded once per process in both formats, in the record
 * memory: rows refer to them by slot, and encoders copy them.
 *
 * A caller's id stands for one process for ever, a slot only as long as something can refer to it:
 * the slot of a removed id is used again when the closed connections stored before the removal have
 * been told or lost. Capacity and eviction are the caller's; the cost is about 300 bytes a process.
 */
export class ProcessDescriptions {
  readonly #memory: RecordMemory;
  readonly #log: ClosedLog;
  readonly #slots = new Map<number, number>();
  /** Slots whose id is gone, with the end of the closed log at that moment; oldest first. */
  readonly #retired: { slot: number; position: number }[] = [];
  readonly #unused: number[] = [];
  /** Offset of the u32 offsets of the descriptions by slot; 0 is the slot of none. */
  #table: number;
  #capacity = FIRST_CAPACITY;
  #nextSlot = 1;
  #bytes = 0;

  constructor(memory: RecordMemory, log: ClosedLog) {
    this.#memory = memory;
    this.#log = log;
    this.#table = memory.allocZeroed(FIRST_CAPACITY * 4);
  }

  /** Offset of the table by slot; moves when it grows. */
  get table(): number {
    return this.#table;
  }

  get entries(): number {
    return this.#nextSlot - 1 - this.#unused.length;
  }

  get capacity(): number {
    return this.#capacity - 1;
  }

  get bytes(): number {
    return this.#bytes + this.#capacity * 4;
  }

  /**
   * From now on `id` stands for this process; replaces an earlier description.
   * @throws PortolanError when the record memory is full
   */
  put(id: number, process: Process): void {
    const { comm, exe, ppid, uid, startTime } = process;
    const value: Process = { comm, exe, ppid, uid, startTime };
    const json = encoder.encode(JSON.stringify(value));
    const msgpack = encode(value);

    const text = this.#memory.alloc(HEADER + json.length + msgpack.length);
    this.#memory.view.setUint32(text, json.length, true);
    this.#memory.view.setUint32(text + 4, msgpack.length, true);
    this.#memory.bytes.set(json, text + HEADER);
    this.#memory.bytes.set(msgpack, text + HEADER + json.length);

    const slot = this.#slots.get(id) ?? this.#take();
    this.#slots.set(id, slot);
    this.#replace(slot, text);
    this.#bytes += HEADER + json.length + msgpack.length;
  }

  /**
   * Nothing new refers to `id`; closed connections that already do keep its description until they
   * are told.
   */
  remove(id: number): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#slots.delete(id);
    this.#retired.push({ slot, position: this.#log.end });
  }

  /** The slot of an id, 0 when it has none. */
  slot(id: number): number {
    return this.#slots.get(id) ?? 0;
  }

  /**
   * Gives back the slots that no stored connection refers to any more. Not while a document is
   * being encoded.
   */
  reclaim(): void {
    const kept = this.#retired.findIndex(({ position }) => position > this.#log.start);
    const count = kept < 0 ? this.#retired.length : kept;
    for (const { slot } of this.#retired.splice(0, count)) {
      this.#replace(slot, 0);
      this.#unused.push(slot);
    }
  }

  #take(): number {
    const slot = this.#unused.pop() ?? this.#nextSlot++;
    if (slot >= this.#capacity) {
      const table = this.#memory.allocZeroed(this.#capacity * 2 * 4);
      this.#memory.bytes.copyWithin(table, this.#table, this.#table + this.#capacity * 4);
      this.#memory.free(this.#table);
      this.#table = table;
      this.#capacity *= 2;
    }
    return slot;
  }

  /** Puts another description (0: none) in a slot. */
  #replace(slot: number, text: number): void {
    const { view } = this.#memory;
    const at = this.#table + slot * 4;
    const before = view.getUint32(at, true);
    if (before !== 0) {
      const lengths = view.getUint32(before, true) + view.getUint32(before + 4, true);
      this.#bytes -= HEADER + lengths;
      this.#memory.free(before);
    }
    view.setUint32(at, text, true);
  }
}
