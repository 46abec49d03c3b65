import type { Segment } from "../model/segment.ts";
import type { Kernels } from "../wasm/kernels.ts";
import { delta as field, told as layout, row } from "../wasm/layout.ts";
import type { RecordMemory } from "../wasm/memory.ts";
import type { ClosedLog } from "./closed_log.ts";
import { IndexedArray } from "./indexed_array.ts";
import type { RowRun } from "./rows.ts";

/** What a client was told (`struct told`), by cookie. */
export class Told {
  constructor(
    /** Of connections that were open. */
    readonly open: IndexedArray,
    /**
     * Of those that were open before, but neither open nor closed in the last pass: their end is
     * still to come.
     */
    readonly departed: IndexedArray,
  ) {}

  static nothing(memory: RecordMemory): Told {
    return new Told(
      new IndexedArray(memory, layout.size, 0),
      new IndexedArray(memory, layout.size, 0),
    );
  }

  get bytes(): number {
    return this.open.bytes + this.departed.bytes;
  }

  free(): void {
    this.open.free();
    this.departed.free();
  }
}

/** What a pass reads. */
export interface PassInput {
  told: Told;
  /** Up to where the client has been told the closed log. */
  position: number;
  /** All open connections. */
  segments: readonly Segment[];
  /** Most open connections tracked for it. */
  maxTracked: number;
}

/** What a pass found. Its memory is its own; the input is unchanged. */
export interface Pass {
  /** What the client has been told after this. */
  told: Told;
  active: RowRun;
  closed: RowRun;
  /** Open connections neither tracked nor told, because `maxTracked` was reached. */
  dropped: number;
  /** Connections with a counter lower than was told before. */
  underflows: number;
  /** Open records with the cookie of another one. */
  duplicates: number;
  freeRows(): void;
}

/**
 * Computes what changed for a client (src/wasm/delta.c), in memory sized by what there is: a table
 * of totals and a row for each open connection, of which untouched pages cost nothing and the rest
 * is given back at once.
 * @throws PortolanError when the record memory is full; nothing stays allocated then
 */
export function computePass(
  memory: RecordMemory,
  kernels: Kernels,
  log: ClosedLog,
  input: PassInput,
): Pass {
  const { told, segments, maxTracked } = input;
  const total = segments.reduce((sum, { count }) => sum + count, 0);
  const unread = log.end - Math.max(log.start, input.position);

  using owned = new DisposableStack();
  const array = (stride: number, capacity: number) =>
    owned.adopt(new IndexedArray(memory, stride, capacity), (each) => each.free());
  const open = array(layout.size, Math.min(total, maxTracked));
  const closed = array(row.size, unread);
  const active = owned.adopt(memory.alloc(total * row.size), (offset) => memory.free(offset));

  using scratch = new DisposableStack();
  const zeros = (bytes: number) =>
    scratch.adopt(memory.allocZeroed(bytes), (offset) => memory.free(offset));
  const job = zeros(field.length * 4);
  const fields = new Uint32Array(memory.bytes.buffer, job, field.length);
  const get = (name: number): number => fields[name] ?? 0;
  const set = (name: number, { offset, count, slots, mask }: IndexedArray) =>
    fields.set([offset, count, slots, mask], name);
  set(field.open, told.open);
  set(field.departed, told.departed);
  set(field.nextOpen, open);
  set(field.closed, closed);
  fields[field.active] = active;
  fields[field.seen] = zeros(Math.ceil(told.open.count / 32) * 4);

  log.forEachRun(log.end - unread, (offset, count) => kernels.delta_closed(job, offset, count));
  fields[field.budget] = budget(kernels, job, total, input);
  fields[field.expected] = 0;
  for (const { offset, stride, count } of segments) {
    kernels.delta_active(job, offset, stride, count);
  }
  const departed = array(layout.size, told.open.count - get(field.seenCount));
  set(field.nextDeparted, departed);
  kernels.delta_departed(job);

  open.count = get(field.nextOpenCount);
  departed.count = get(field.nextDepartedCount);
  closed.count = get(field.closedCount);
  open.shrink();
  closed.shrink();
  memory.shrink(active, get(field.activeCount) * row.size);
  owned.move();
  return {
    told: new Told(open, departed),
    active: { offset: active, count: get(field.activeCount) },
    closed: { offset: closed.offset, count: closed.count },
    dropped: get(field.dropped),
    underflows: get(field.underflows),
    duplicates: get(field.duplicates),
    freeRows() {
      memory.free(active);
      closed.free();
    },
  };
}

/**
 * How many connections may be tracked in addition to the known ones, none of which gives way to a
 * new one.
 */
function budget(kernels: Kernels, job: number, total: number, input: PassInput): number {
  if (total <= input.maxTracked) return total;
  const known = input.segments.reduce(
    (sum, { offset, stride, count }) => sum + kernels.delta_known(job, offset, stride, count),
    0,
  );
  return Math.max(0, input.maxTracked - known);
}
