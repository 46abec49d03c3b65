import { type Pointer, ptr } from "bun:ffi";

/**
 * Addresses are plain numbers throughout ffi/: user space addresses fit in 48 bits (57 with five-level
 * paging, which Linux hands out only on request), and a BigInt per call would cost ten times the call.
 */
export function toPointer(address: number): Pointer {
  return address as Pointer;
}

/** The address that a native function returned; 0 for NULL. */
export function toAddress(returned: Pointer | bigint | null): number {
  return returned === null ? 0 : Number(returned);
}

/**
 * The address of the first byte of `memory`, valid as long as `memory` is reachable: hold it in a
 * field or a module constant, or pass it to the same call, as a local variable counts as dead after
 * its last use.
 */
export function addressOf(memory: NodeJS.TypedArray): number {
  // Small arrays live inside their object until someone asks for `buffer`, and move then.
  void memory.buffer;
  return ptr(memory);
}
