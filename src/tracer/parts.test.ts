import { expect, test } from "bun:test";
import { Parts } from "./parts.ts";

const part = (text: string) => new TextEncoder().encode(text).buffer;

function setUp() {
  const told = { taken: 0, cancelled: false };
  const parts = new Parts({
    taken: () => {
      told.taken++;
    },
    cancelled: () => {
      told.cancelled = true;
    },
  });
  return { parts, told, reader: parts.stream.getReader() };
}

test("parts are read in order, also when the reader is first, and each taking is told", async () => {
  const { parts, told, reader } = setUp();
  const first = reader.read();
  parts.push(part("one"));
  expect(Buffer.from((await first).value ?? []).toString()).toBe("one");
  parts.push(part("two"));
  parts.end();
  expect(told.taken).toBe(1);
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("two");
  expect((await reader.read()).done).toBe(true);
  expect(told).toEqual({ taken: 2, cancelled: false });
});

test("a failure comes before the parts that wait", async () => {
  const { parts, reader } = setUp();
  parts.push(part("one"));
  parts.fail(new Error("broken"));
  expect(reader.read()).rejects.toThrow("broken");
});

test("a reader who goes is told", async () => {
  const { parts, told, reader } = setUp();
  parts.push(part("one"));
  await reader.cancel();
  expect(told).toEqual({ taken: 0, cancelled: true });
});
