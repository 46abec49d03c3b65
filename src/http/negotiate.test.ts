import { expect, test } from "bun:test";
import { preferredEncoding, preferredType } from "./negotiate.ts";

const OFFERS = ["application/json", "application/msgpack"] as const;

test.each([
  [undefined, "application/json"],
  ["", "application/json"],
  ["*/*", "application/json"],
  ["application/*", "application/json"],
  ["application/msgpack", "application/msgpack"],
  ["Application/MsgPack", "application/msgpack"],
  ["application/json;charset=utf-8", "application/json"],
  ["text/html, application/msgpack;q=0.1", "application/msgpack"],
  ["application/json;q=0.5, application/msgpack;q=0.6", "application/msgpack"],
  ["application/json;q=0.5, */*;q=0.6", "application/msgpack"],
  ["*/*;q=0.6, application/json;q=0.5", "application/msgpack"],
  ["application/json;q=0, */*", "application/msgpack"],
  ["application/msgpack;q=high", "application/msgpack"],
  ["text/html", undefined],
  ["application/json;q=0", undefined],
  ["*/*;q=0", undefined],
  ["json", undefined],
  ["text/*;q=1, image/png", undefined],
])("Accept: %s is answered with %s", (accept, type) => {
  expect(preferredType(accept, OFFERS)).toBe(type as (typeof OFFERS)[number] | undefined);
});

test("parameters of an offer don't count", () => {
  expect(preferredType("text/plain", ["text/plain; charset=utf-8"])).toBe(
    "text/plain; charset=utf-8",
  );
});

test.each([
  [undefined, undefined],
  ["", undefined],
  ["identity", undefined],
  ["br", undefined],
  ["gzip", "gzip"],
  ["gzip, deflate, br, zstd", "zstd"],
  ["zstd;q=0.5, gzip", "gzip"],
  ["*", "zstd"],
  ["zstd;q=0, *", "gzip"],
  ["gzip;q=0", undefined],
] as const)("Accept-Encoding: %s is answered with %s", (header, encoding) => {
  expect(preferredEncoding(header)).toBe(encoding);
});
