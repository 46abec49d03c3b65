import { expect, test } from "bun:test";
import { violations } from "./rooms.ts";

test.each([
  ["src/state/delta.ts", 'import { conn } from "../../ffi/layout.gen.ts";'],
  ["src/state/delta.ts", 'import type { Memory } from "../wasm/memory.ts";'],
  ["src/state/delta.ts", 'import { other } from "./deep/other.ts";'],
  ["src/state/delta.test.ts", 'import { wasmModule } from "../assets.ts";'],
  ["src/sources/ebpf/source.ts", 'export * from "../source.ts";'],
  ["src/sources/ebpf/source.ts", 'import { Libbpf } from "../../../ffi/libbpf.ts";'],
  ["src/http/app.ts", 'import { Hono } from "hono";'],
  ["ffi/libc.ts", 'import { dlopen } from "bun:ffi";'],
])("%s may say %j", (path, source) => {
  expect(violations(path, source)).toEqual([]);
});

test.each([
  ["src/state/delta.ts", 'import { Libbpf } from "../../ffi/libbpf.ts";'],
  ["src/model/tuple.ts", 'import type { Delta } from "../state/delta.ts";'],
  ["src/model/tuple.ts", 'import { readFileSync } from "node:fs";'],
  ["src/http/app.ts", 'export { start } from "../tracer/collector.worker.ts";'],
  ["src/http/app.ts", 'const late = await import("../state/delta.ts");'],
  ["src/http/app.ts", 'new Worker(new URL("../nat/conntrack.worker.ts", import.meta.url).href);'],
  ["src/tracer/loop.ts", 'import { read } from "bun:ffi";'],
  ["ffi/libc.ts", 'import "../src/model/errors.ts";'],
  ["src/assets.ts", 'import {\n  a,\n  b,\n} from "./cli/run.ts";'],
  ["src/elsewhere/new.ts", ""],
])("%s may not say %j", (path, source) => {
  expect(violations(path, source)).toHaveLength(1);
});
