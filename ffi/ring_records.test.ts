import { expect, test } from "bun:test";
import { RingRecords } from "./ring_records.ts";

const SIZE = 64;
const BUSY = 1 << 31;
const DISCARDED = 1 << 30;

/** A ring in ordinary memory that writes as the kernel does, with both copies of the data. */
class FakeRing {
  readonly bytes = new Uint8Array(2 * SIZE);
  readonly #view = new DataView(this.bytes.buffer);
  readonly records: RingRecords;
  producer: number;

  constructor(start = 0) {
    this.producer = start;
    this.records = new RingRecords(new Int32Array(this.bytes.buffer), SIZE, start);
  }

  /** Returns the position of the record. */
  put(text: string, flags = 0): number {
    const position = this.producer;
    this.#header(position, text.length | flags);
    for (const [at, char] of [...text].entries()) {
      this.bytes[(position + 8 + at) % SIZE] = char.charCodeAt(0);
      this.bytes[((position + 8 + at) % SIZE) + SIZE] = char.charCodeAt(0);
    }
    this.producer += (8 + text.length + 7) & ~7;
    return position;
  }

  commit(position: number): void {
    this.#header(position, this.#view.getInt32(position % SIZE, true) & ~BUSY);
  }

  #header(position: number, header: number): void {
    this.#view.setInt32(position % SIZE, header, true);
    this.#view.setInt32((position % SIZE) + SIZE, header, true);
  }

  drain(budget = Number.POSITIVE_INFINITY): string[] {
    const texts: string[] = [];
    this.records.drain(
      this.producer,
      (offset, length) =>
        texts.push(Buffer.from(this.bytes).toString("latin1", offset, offset + length)),
      budget,
    );
    return texts;
  }
}

test("records come in order, once", () => {
  const ring = new FakeRing();
  expect(ring.drain()).toEqual([]);
  ring.put("a");
  ring.put("bcdefgh");
  ring.put("");
  expect(ring.drain()).toEqual(["a", "bcdefgh", ""]);
  expect(ring.drain()).toEqual([]);
  expect(ring.records.position).toBe(ring.producer);
});

test("a record that wraps is one piece", () => {
  const ring = new FakeRing();
  for (let round = 0; round < 50; round++) {
    const text = "x".repeat(round % 40) + round;
    ring.put(text);
    expect(ring.drain()).toEqual([text]);
  }
});

test("positions beyond 32 bits", () => {
  for (const start of [2 ** 31 - 16, 2 ** 32 - 16, 2 ** 40 - 16]) {
    const ring = new FakeRing(start);
    ring.put("abcdefgh");
    ring.put("ij");
    expect(ring.drain()).toEqual(["abcdefgh", "ij"]);
    expect(ring.records.position).toBe(start + 32);
  }
});

test("a record that is being written holds back those behind it", () => {
  const ring = new FakeRing();
  ring.put("first");
  const busy = ring.put("second", BUSY);
  ring.put("third");
  expect(ring.drain()).toEqual(["first"]);
  expect(ring.drain()).toEqual([]);
  ring.commit(busy);
  expect(ring.drain()).toEqual(["second", "third"]);
});

test("discarded records are passed over", () => {
  const ring = new FakeRing();
  ring.put("gone", DISCARDED);
  ring.put("kept");
  ring.put("gone", DISCARDED);
  expect(ring.drain()).toEqual(["kept"]);
  expect(ring.records.position).toBe(ring.producer);
  const pending = ring.put("later", DISCARDED | BUSY);
  expect(ring.drain()).toEqual([]);
  ring.commit(pending);
  expect(ring.drain()).toEqual([]);
  expect(ring.records.position).toBe(ring.producer);
});

test("old data beyond the producer is not a record", () => {
  const ring = new FakeRing();
  for (let i = 0; i < 4; i++) ring.put("12345678");
  expect(ring.drain()).toHaveLength(4);
  expect(ring.drain()).toEqual([]);
});

test("a budget bounds one drain, discarded records included", () => {
  const ring = new FakeRing();
  ring.put("a");
  ring.put("b", DISCARDED);
  ring.put("c");
  expect(ring.drain(2)).toEqual(["a"]);
  expect(ring.drain(2)).toEqual(["c"]);
});

test("a handler that throws has consumed its record, and no other", () => {
  const ring = new FakeRing();
  ring.put("a");
  ring.put("b");
  const fail = () => {
    throw new Error("handler");
  };
  expect(() => ring.records.drain(ring.producer, fail, 10)).toThrow("handler");
  expect(ring.drain()).toEqual(["b"]);
});
