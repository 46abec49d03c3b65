import { describe, expect, test } from "bun:test";
import { PortolanError } from "../model/errors.ts";
import { RESERVED, RecordMemory } from "./memory.ts";

const MIB = 1024 * 1024;

describe("RecordMemory", () => {
  test("blocks don't overlap, are aligned, and lie above the kernels' own data", () => {
    const memory = new RecordMemory(4 * MIB);
    const sizes = [1, 64, 65, 5000, 100_000, 0, 4096];
    const blocks = sizes.map((bytes) => ({ offset: memory.alloc(bytes), bytes }));
    for (const { offset } of blocks) {
      expect(offset % 64).toBe(0);
      expect(offset).toBeGreaterThanOrEqual(RESERVED);
    }
    blocks.sort((a, b) => a.offset - b.offset);
    for (const [index, { offset, bytes }] of blocks.entries()) {
      const next = blocks[index + 1]?.offset ?? memory.bytes.length;
      expect(offset + bytes).toBeLessThanOrEqual(next);
    }
    expect(new Set(blocks.map(({ offset }) => offset)).size).toBe(sizes.length);
  });

  test("freed neighbours join, whatever the order of freeing", () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [0, 2, 1],
      [1, 0, 2],
    ]) {
      const memory = new RecordMemory(4 * MIB);
      const blocks = [MIB, MIB, MIB].map((bytes) => memory.alloc(bytes));
      for (const index of order) memory.free(blocks[index] as number);
      expect(memory.used).toBe(0);
      expect(memory.alloc(memory.capacity)).toBe(RESERVED);
    }
  });

  test("random use leaves it as it was", () => {
    const memory = new RecordMemory(64 * MIB);
    const live: number[] = [];
    for (let i = 0; i < 5000; i++) {
      if (live.length > 50 || (live.length > 0 && Math.random() < 0.5)) {
        const [offset] = live.splice(Math.floor(Math.random() * live.length), 1);
        memory.free(offset as number);
      } else live.push(memory.alloc(Math.floor(Math.random() * 100_000)));
    }
    for (const offset of live) memory.free(offset);
    expect(memory.used).toBe(0);
    expect(memory.alloc(memory.capacity)).toBe(RESERVED);
  });

  test("low addresses are used again first; small blocks stay out of the way at the top", () => {
    const memory = new RecordMemory(4 * MIB);
    const first = memory.alloc(10_000);
    memory.alloc(10_000);
    memory.free(first);
    expect(memory.alloc(8000)).toBe(first);
    expect(memory.alloc(100)).toBe(4 * MIB - 128);
    expect(memory.alloc(100)).toBe(4 * MIB - 256);
  });

  test("shrinking gives the rest back and keeps the contents", () => {
    const memory = new RecordMemory(4 * MIB);
    const block = memory.alloc(2 * MIB);
    memory.bytes.fill(7, block, block + 100);
    memory.shrink(block, 100);
    expect(memory.used).toBe(128);
    expect(memory.alloc(2 * MIB)).toBe(block + 128);
    expect(memory.bytes[block + 99]).toBe(7);
    memory.shrink(block, 1000);
    memory.free(block);
    expect(memory.used).toBe(2 * MIB);
  });

  test("zeroed blocks are zero after other use", () => {
    const memory = new RecordMemory(4 * MIB);
    const dirty = memory.alloc(MIB);
    memory.bytes.fill(255, dirty, dirty + MIB);
    memory.free(dirty);
    const block = memory.allocZeroed(5000);
    expect(memory.bytes.subarray(block, block + 5000).every((byte) => byte === 0)).toBe(true);
  });

  test("a full memory and a wrong offset are errors that say so", () => {
    const memory = new RecordMemory(2 * MIB);
    memory.alloc(600_000);
    expect(() => memory.alloc(600_000)).toThrow(
      "allocate 600000 bytes of record memory: no gap is large enough; 600000 of 1048576 bytes",
    );
    expect(() => memory.free(12)).toThrow(PortolanError);
    const block = memory.alloc(100);
    memory.free(block);
    expect(() => memory.free(block)).toThrow("free record memory at");
  });
});
