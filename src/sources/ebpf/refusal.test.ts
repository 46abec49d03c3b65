import { expect, test } from "bun:test";
import { NativeError } from "../../../ffi/errors.ts";
import { explainRefusal } from "./refusal.ts";

const ORDINARY = { hasBtf: true, lockdown: "[none] integrity confidentiality" };
const refusal = (reason: string, errno?: number) =>
  new NativeError("load BPF object", "tcp_life", reason, errno, "libbpf's words");

test.each([
  ["EPERM", refusal("Failed to bump RLIMIT_MEMLOCK", 1), ORDINARY, "CAP_BPF and CAP_PERFMON"],
  [
    "lockdown",
    refusal("unknown func bpf_probe_read_kernel", 22),
    { ...ORDINARY, lockdown: "none integrity [confidentiality]" },
    "locked down (confidentiality mode)",
  ],
  [
    "no BTF",
    refusal("failed to find valid kernel BTF", 3),
    { ...ORDINARY, hasBtf: false },
    "--btf FILE",
  ],
])("%s: the cause is named, and the rest is kept", (_name, error, kernel, cause) => {
  const explained = explainRefusal(error, kernel);
  expect(explained.message).toStartWith("load BPF object tcp_life: ");
  expect(explained.reason).toContain(cause);
  expect([explained.errno, explained.detail]).toEqual([error.errno, "libbpf's words"]);
});

test("what is not known is left as it is", () => {
  const error = refusal("invalid argument (EINVAL)", 22);
  expect(explainRefusal(error, ORDINARY)).toBe(error);
  expect(explainRefusal(error, { hasBtf: false, lockdown: "" })).toBe(error);
});
