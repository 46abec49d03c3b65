import { expect, test } from "bun:test";
import { loadKernels } from "./kernels.ts";
import { RecordMemory } from "./memory.ts";

test("a module whose data reaches into the allocator's part is refused", () => {
  // (module (func (export "heap_base") (result i32) i32.const 0x200000))
  const hex = "0061736d010000000105016000017f03020100070d0109686561705f626173650000";
  const code = "0a0901070041808080010b";
  const module = new WebAssembly.Module(Uint8Array.fromHex(hex + code));
  expect(() => loadKernels(module, new RecordMemory(4 * 1024 * 1024))).toThrow(
    "load state.wasm: its data ends at 2097152, but only 1048576 bytes are kept free for it",
  );
});
