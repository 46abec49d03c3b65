import { expect, test } from "bun:test";
import { missingCapabilities } from "./privileges.ts";

const status = (bits: number[]): string => {
  const mask = bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
  return `Name:\tbun\nCapPrm:\t0000000000000000\nCapEff:\t${mask.toString(16).padStart(16, "0")}\n`;
};

test.each([
  [[], ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]],
  [[21], []],
  [[12, 38, 39], []],
  [[12, 39], ["CAP_PERFMON"]],
  [[38, 39], ["CAP_NET_ADMIN"]],
  [Array.from({ length: 41 }, (_, bit) => bit), []],
])("with the capabilities %p, %p are missing", (bits, missing) => {
  expect(missingCapabilities(status(bits))).toEqual(missing);
});
