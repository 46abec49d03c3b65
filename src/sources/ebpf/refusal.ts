/** What it means for the user that the kernel refuses even what is required. */
import { NativeError } from "../../../ffi/errors.ts";

const EPERM = 1;

/** What decides whether a kernel takes BPF programs at all. */
export interface KernelFacts {
  hasBtf: boolean;
  /** Text of /sys/kernel/security/lockdown, the mode in force in brackets; empty where there is none. */
  lockdown: string;
}

/** The refusal with its cause in words, where that is known; libbpf's own words stay in the detail. */
export function explainRefusal(refusal: NativeError, kernel: KernelFacts): NativeError {
  const cause = causeOf(refusal, kernel);
  if (cause === undefined) return refusal;
  const { operation, object, errno, detail } = refusal;
  return new NativeError(operation, object, cause, errno, detail);
}

function causeOf({ errno, reason }: NativeError, kernel: KernelFacts): string | undefined {
  // In this mode the helpers that read kernel memory are withheld, which the verifier tells as EINVAL or EPERM.
  if (kernel.lockdown.includes("[confidentiality]")) {
    return "the kernel is locked down (confidentiality mode), which forbids programs to read its memory";
  }
  if (errno === EPERM) {
    return (
      "operation not permitted (EPERM): it takes CAP_BPF and CAP_PERFMON in the initial user namespace, " +
      "and neither lockdown nor a seccomp filter or policy of a container that forbids bpf()"
    );
  }
  if (!kernel.hasBtf && reason.includes("BTF")) {
    return "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF): give it with --btf FILE";
  }
  return undefined;
}
