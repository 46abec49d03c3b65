import { expect, test } from "bun:test";
import { summarizeLog } from "./libbpf_log.ts";

const verifier = Array.from({ length: 100 }, (_, line) => `${line}: (bf) r1 = r2\n`).join("");

test("a log without the verifier's is its lines", () => {
  expect(summarizeLog("")).toEqual([]);
  expect(summarizeLog("libbpf: one\nlibbpf: two\n")).toEqual(["one", "two"]);
});

test("of the verifier's log the last 20 lines remain, between libbpf's own", () => {
  const lines = summarizeLog(
    "libbpf: prog 'p': BPF program load failed: Permission denied\n" +
      `libbpf: prog 'p': -- BEGIN PROG LOAD LOG --\n${verifier}-- END PROG LOAD LOG --\n` +
      "libbpf: prog 'p': failed to load: -13\n",
  );
  expect(lines).toHaveLength(22);
  expect(lines[0]).toBe("prog 'p': BPF program load failed: Permission denied");
  expect(lines[1]).toBe("80: (bf) r1 = r2");
  expect(lines[20]).toBe("99: (bf) r1 = r2");
  expect(lines[21]).toBe("prog 'p': failed to load: -13");
});

test("a log whose beginning was dropped", () => {
  const lines = summarizeLog(`${verifier}-- END PROG LOAD LOG --\nlibbpf: failed\n`);
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toBe("failed");
});
