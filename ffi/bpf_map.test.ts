import { expect, test } from "bun:test";
import { describeKernel, libbpf, openFixture, TABLE_CAPACITY, withFixture } from "./bpf_fixture.ts";
import type { BpfMap } from "./bpf_map.ts";
import type { BpfObject } from "./bpf_object.ts";
import { addressOf } from "./pointer.ts";

function bytesOf(number: bigint): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.of(number).buffer);
}

/** Puts `count` entries i => {i, 3 * i} into the table. */
function fill(object: BpfObject, count: number): void {
  for (let first = 0; first < count; first += 4096) {
    object.program("fill").testRun([BigInt(first), BigInt(Math.min(4096, count - first))]);
  }
}

/** Reads the table into memory with a guard behind it. */
function readTable(map: BpfMap, capacity: number) {
  const keys = new BigUint64Array(capacity + 64).fill(0xeen);
  const values = new BigUint64Array(2 * (capacity + 64)).fill(0xeen);
  const memory = { keys: addressOf(keys), values: addressOf(values), capacity };
  const contents = map.readAll(memory);
  expect(keys.subarray(capacity).every((word) => word === 0xeen)).toBe(true);
  expect(values.subarray(2 * capacity).every((word) => word === 0xeen)).toBe(true);
  return { ...contents, keys: keys.subarray(0, contents.count), values };
}

describeKernel("maps", () => {
  test("entries are written, read, walked and deleted", () =>
    withFixture((object) => {
      const map = object.map("table");
      const value = new Uint8Array(16);
      expect(map.lookup(bytesOf(1n), value)).toBe(false);
      map.update(bytesOf(1n), new Uint8Array(16).fill(9));
      expect(map.lookup(bytesOf(1n), value)).toBe(true);
      expect(value).toEqual(new Uint8Array(16).fill(9));
      expect(() => map.update(bytesOf(1n), value, 1)).toThrow("EEXIST");
      const key = new Uint8Array(8);
      expect(map.nextKey(null, key)).toBe(true);
      expect(key).toEqual(bytesOf(1n));
      expect(map.nextKey(key, key)).toBe(false);
      expect(map.delete(bytesOf(1n))).toBe(true);
      expect(map.delete(bytesOf(1n))).toBe(false);
      expect(map.info().memlock).toBeGreaterThan(TABLE_CAPACITY * 24);
    }));

  test("buffers that are too short are refused before the kernel writes past them", () =>
    withFixture((object) => {
      const map = object.map("table");
      expect(() => map.lookup(new Uint8Array(7), new Uint8Array(16))).toThrow(RangeError);
      expect(() => map.lookup(bytesOf(1n), new Uint8Array(15))).toThrow(RangeError);
      expect(() => map.update(bytesOf(1n), new Uint8Array(15))).toThrow(RangeError);
      expect(() => map.nextKey(null, new Uint8Array(7))).toThrow(RangeError);
    }));

  test("a per-CPU value has a part for each possible CPU", () =>
    withFixture((object) => {
      const map = object.map("counts");
      expect(map.lookupSize).toBe(8 * libbpf.possibleCpus());
      const link = object.program("on_syscall").attach();
      process.kill(process.pid, 0);
      link.destroy();
      const values = new Uint8Array(map.lookupSize);
      expect(map.lookup(new Uint8Array(4), values)).toBe(true);
      expect(new BigUint64Array(values.buffer).some((count) => count > 0n)).toBe(true);
    }));

  test("capacity, flags and creation are set before load", () => {
    const BPF_F_NO_PREALLOC = 1;
    const object = openFixture();
    object.map("table").setMaxEntries(3);
    object.map("table").setFlags(BPF_F_NO_PREALLOC);
    for (const program of object.programs()) program.setAutoload(program.name === "fill");
    object.map("ring").setAutocreate(false);
    object.load();
    expect(object.map("table").maxEntries).toBe(3);
    fill(object, 10);
    expect(readTable(object.map("table"), 10).count).toBe(3);
    expect(() => object.map("ring").fd).toThrow("use BPF map ring");
    object.close();
  });

  test("two objects share a map by its descriptor", () =>
    withFixture((first) => {
      const second = openFixture();
      second.map("table").reuseFd(first.map("table").fd);
      second.load();
      fill(second, 5);
      second.close();
      expect(readTable(first.map("table"), 100).count).toBe(5);
    }));

  test.each([0, 1, 100_000])("readAll reads %i entries, each once", (count) =>
    withFixture((object) => {
      fill(object, count);
      const table = readTable(object.map("table"), count + 100);
      expect(table).toMatchObject({ count, truncated: false });
      const numbers = [...table.keys].map(Number);
      expect(
        numbers.every((key, at) => table.values[2 * at + 1] === BigInt(3 * (key % 4096))),
      ).toBe(true);
      expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    }),
  );

  test("readAll stops in front of what does not fit, and says so", () =>
    withFixture((object) => {
      fill(object, 50_000);
      for (const capacity of [0, 1, 10, 16_384, 20_000, 49_990]) {
        const table = readTable(object.map("table"), capacity);
        expect(table.truncated).toBe(true);
        expect(table.count).toBeLessThanOrEqual(capacity);
        expect(table.count).toBeGreaterThanOrEqual(capacity - 20);
        expect(new Set(table.keys).size).toBe(table.count);
      }
    }));

  test("readAll fills exactly the memory that is there", () =>
    withFixture((object) => {
      fill(object, 20_000);
      expect(readTable(object.map("table"), 20_000)).toMatchObject({
        count: 20_000,
        truncated: false,
      });
    }));

  test("readAll writes into the memory of a WebAssembly module", () =>
    withFixture((object) => {
      fill(object, 1000);
      const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 });
      const base = addressOf(new Uint8Array(memory.buffer));
      const at = { keys: base + 4096, values: base + 65_536, capacity: 2000 };
      expect(object.map("table").readAll(at)).toEqual({ count: 1000, truncated: false });
      const sum = new BigUint64Array(memory.buffer, 4096, 1000).reduce((a, b) => a + b);
      expect(sum).toBe(499_500n);
    }));
});
