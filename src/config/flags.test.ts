import { expect, test } from "bun:test";
import { z } from "zod";
import { readFlags } from "./flags.ts";
import { keysOf } from "./key.ts";

const keys = keysOf(
  z.strictObject({
    list: z.array(z.string()),
    "group.text_key": z.string(),
    number: z.number(),
    on: z.boolean(),
  }),
);

test.each([
  [[], {}],
  [["--on"], { on: true }],
  [["--on=false"], { on: false }],
  [["--group-text-key", "a=b"], { "group.text_key": "a=b" }],
  [["--group-text-key=a=b"], { "group.text_key": "a=b" }],
  [["--group-text-key="], { "group.text_key": "" }],
  [["--number", "-1"], { number: -1 }],
  [["--number", "1", "--number", "2"], { number: 2 }],
  [["--list", "a", "b", "--on", "--list=c,d"], { list: ["a", "b", "c", "d"], on: true }],
])("%j", (words, values) => {
  expect(Object.fromEntries(readFlags(words, keys).values)).toEqual(values);
});
