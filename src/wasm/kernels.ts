import { PortolanError } from "../model/errors.ts";
import { RESERVED, type RecordMemory } from "./memory.ts";

/**
 * The functions of state.wasm. All arguments are byte offsets into the record memory or plain
 * counts.
 */
export interface Kernels {
  /** delta.c: closed records in one run, before any open one. */
  delta_closed(delta: number, records: number, count: number): void;
  /** delta.c: how many of these open records the client knows. */
  delta_known(delta: number, records: number, stride: number, count: number): number;
  /** delta.c: open records. */
  delta_active(delta: number, records: number, stride: number, count: number): void;
  /** delta.c: after all records, what the client knows and none of them was about. */
  delta_departed(delta: number): void;
  /** delta.c: rows of records as they are. */
  snapshot(rows: number, records: number, stride: number, count: number): void;
  /** owners.c: distinct pids of rows; how many. */
  owners_gather(rows: number, count: number, pids: number, slots: number, mask: number): number;
  /** owners.c */
  owners_assign(rows: number, count: number, processes: number): void;
  /** json.c: how many rows fit. */
  encode_json(encoder: number, rows: number, count: number): number;
  /** msgpack.c: how many rows fit. */
  encode_msgpack(encoder: number, rows: number, count: number): number;
}

/**
 * Instantiates the kernels over a record memory.
 * @param module dist/wasm/state.wasm
 * @throws PortolanError when the module's own data would reach into the allocator's part of the
 * memory
 */
export function loadKernels(module: WebAssembly.Module, memory: RecordMemory): Kernels {
  const instance = new WebAssembly.Instance(module, { env: { memory: memory.memory } });
  const kernels = instance.exports as unknown as Kernels & { heap_base(): number };
  const end = kernels.heap_base();
  if (end > RESERVED) {
    const reason = `its data ends at ${end}, but only ${RESERVED} bytes are kept free for it`;
    throw new PortolanError("load", "state.wasm", reason);
  }
  return kernels;
}
