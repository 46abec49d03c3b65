import { toArrayBuffer } from "bun:ffi";
import * as libc from "./libc.ts";
import { toPointer } from "./pointer.ts";

/**
 * Shared memory of a file descriptor (a BPF map, a ring) as one long-lived ArrayBuffer; making one per
 * access costs 470 ns.
 */
export class Mapping {
  /** Numeric address of the first byte. */
  readonly address: number;
  /**
   * The memory. After `close` no view of it may be touched. On a mapping without PROT_WRITE a write ends
   * the process, and so does `Atomics.load` of an Int32Array, which the JIT compiles to a
   * read-modify-write.
   */
  readonly buffer: ArrayBuffer;
  #open = true;

  /**
   * @param protection PROT_* of libc.ts
   * @param offset of the first byte in the file, a multiple of the page size
   */
  constructor(fd: number, length: number, protection: number, offset = 0) {
    this.address = libc.mmap(fd, length, protection, offset);
    this.buffer = toArrayBuffer(toPointer(this.address), 0, length);
  }

  /** Unmaps the memory; harmless when done before. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    libc.munmap(this.address, this.buffer.byteLength);
  }
}
