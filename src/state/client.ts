import type { RecordMemory } from "../wasm/memory.ts";
import type { ClosedLog } from "./closed_log.ts";
import { Told } from "./delta.ts";

/** One reader of connections: what it was told, and what it has lost. */
export class Client {
  told: Told;
  /** Position in the closed log up to which it has been told. */
  position: number;
  /** ns; the time of its registration before its first fetch. */
  lastFetch: bigint;
  /** Open connections that were not told because too many were tracked, summed over its fetches. */
  connDropped = 0;
  /** Closed connections that gave way to newer ones before it asked, up to its last fetch. */
  #closedDropped = 0;
  readonly #log: ClosedLog;

  constructor(memory: RecordMemory, log: ClosedLog, now: bigint) {
    this.told = Told.nothing(memory);
    this.#log = log;
    this.position = log.end;
    this.lastFetch = now;
  }

  /** Closed connections that it has lost until now. */
  get closedDropped(): number {
    return this.#closedDropped + Math.max(0, this.#log.start - this.position);
  }

  /** It has been told the closed log up to here, and the totals of open connections. */
  advance(position: number, told: Told): void {
    this.#closedDropped = this.closedDropped;
    this.position = position;
    this.told.free();
    this.told = told;
  }
}
