/** Where connections come from: the kernel, a recording, a simulation. */
import type { Segment } from "../model/segment.ts";
import type { CapabilityStatus, ProgramStatus, TableStatus } from "../model/status.ts";

/** The memory that holds the records: WebAssembly memory of fixed address and size. */
export interface RecordSpace {
  readonly bytes: Uint8Array;
  /** @returns the offset of a block of that many bytes */
  alloc(bytes: number): number;
  free(offset: number): void;
}

/** Takes what a source tells as it happens. The bytes are valid only during the call. */
export interface SourceSink {
  /** A connection ended: a `struct conn` at `offset`. */
  closed(bytes: Uint8Array, offset: number): void;
  /** A process was born, changed or died: a `struct process_event` at `offset`. */
  process(bytes: Uint8Array, offset: number): void;
}

export interface ConnectionSource {
  readonly capabilities: CapabilityStatus[];
  /** Hands everything that has been told since the last call to the sink, and says how much that was. */
  drain(sink: SourceSink): number;
  /**
   * Brings the counters of all open connections up to date. What it finds to have ended is told by the
   * next `drain`.
   */
  refresh(): void;
  /** Copies all open connections into the record memory; valid until the next call. */
  readActive(): Segment[];
  /** Who owns the sockets that are known. */
  ownerPids(): Set<number>;
  /** What was lost or repaired, by name; absolute. */
  counters(): Record<string, number>;
  tables(): TableStatus[];
  programs(): ProgramStatus[];
  /** A readable dump of the named tables, or of all. */
  dump(names: readonly string[]): string;
  close(): void;
}
