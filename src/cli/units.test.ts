import { expect, test } from "bun:test";
import { formatBytes, formatRtt } from "./units.ts";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1536, "1.5 KiB"],
  [102_400, "100 KiB"],
  [1_048_576, "1.0 MiB"],
  [52_428_800, "50.0 MiB"],
  [2 ** 40, "1.0 TiB"],
  [2 ** 64, "16384 PiB"],
])("%d bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [undefined, "-"],
  [0, "-"],
  [7, "0.0070 ms"],
  [180, "0.18 ms"],
  [1_800, "1.8 ms"],
  [9_960, "10 ms"],
  [18_000, "18 ms"],
  [99_600, "100 ms"],
  [180_400, "180 ms"],
])("%p microseconds are %s", (microseconds, text) => {
  expect(formatRtt(microseconds)).toBe(text);
});
