import { expect, test } from "bun:test";
import { describeKernel, RING_BYTES, withFixture } from "./bpf_fixture.ts";
import type { BpfObject } from "./bpf_object.ts";
import { RingBuffer } from "./ring_buffer.ts";

describeKernel("ring buffer", () => {
  async function withRing(use: (ring: RingBuffer, object: BpfObject) => void): Promise<void> {
    await withFixture((object) => {
      const ring = new RingBuffer(object.map("ring").fd, RING_BYTES);
      try {
        use(ring, object);
      } finally {
        ring.close();
      }
    });
  }

  test("hands out what the kernel wrote, also many times around the ring", () =>
    withRing((ring, object) => {
      const emit = object.program("emit");
      const view = new DataView(ring.data.buffer, ring.data.byteOffset);
      let next = 0;
      let expected = 0n;
      const check = (offset: number, length: number) => {
        expect(view.getBigUint64(offset, true)).toBe(expected);
        expect(length).toBe(expected % 3n === 0n ? 8 : 40);
        expected++;
        if (expected % 5n === 0n) expected++; // given up by its writer
      };
      expected = 1n;
      for (let round = 0; round < 40; round++) {
        for (let i = 0; i < 200; i++, next++) {
          const size = next % 3 === 0 ? 8n : 40n;
          expect(emit.testRun([BigInt(next), size, next % 5 === 0 ? 1n : 0n]).retval).toBe(1);
        }
        expect(ring.pending()).toBeGreaterThan(0);
        expect(ring.drain(check)).toBe(160);
        expect(ring.pending()).toBe(0);
      }
    }));

  test("a full ring takes records again after a drain", () =>
    withRing((ring, object) => {
      const emit = object.program("emit");
      const write = () => emit.testRun([1n, 40n, 0n]).retval;
      let written = 0;
      while (write() === 1) written++;
      expect(ring.drain(() => {}, 10)).toBe(10);
      expect(write()).toBe(1);
      expect(ring.drain(() => {})).toBe(written - 10 + 1);
    }));

  test("compiled code too only reads the read-only mapping", () =>
    withRing((ring, object) => {
      const emit = object.program("emit");
      let records = 0;
      // Far beyond the calls after which JavaScriptCore compiles with its last tier.
      for (let i = 0; i < 300_000; i++) {
        if (i % 1000 === 0) emit.testRun([1n, 8n, 0n]);
        records += ring.drain(() => {});
        ring.pending();
      }
      expect(records).toBe(300);
    }));

  test("a second reader goes on where the first one ended", () =>
    withRing((ring, object) => {
      const emit = object.program("emit");
      emit.testRun([1n, 8n, 0n]);
      emit.testRun([2n, 8n, 0n]);
      ring.drain(() => {}, 1);
      const second = new RingBuffer(object.map("ring").fd, RING_BYTES);
      expect(second.pending()).toBe(16);
      expect(second.drain((offset) => expect(second.data[offset]).toBe(2))).toBe(1);
      second.close();
    }));

  test("a closed ring is not touched", () =>
    withRing((ring) => {
      ring.close();
      expect(() => ring.drain(() => {})).toThrow("it is closed");
      expect(() => ring.pending()).toThrow("it is closed");
    }));
});
