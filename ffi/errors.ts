import { getSystemErrorMap } from "node:util";

/** Kernel-internal "operation not supported"; bpf(2) leaks it to user space, libc has no name for it. */
const ENOTSUPP = 524;

/**
 * A native call that failed. It has the fields of PortolanError, which ffi/ may not import, so that
 * whoever renders errors treats both alike.
 */
export class NativeError extends Error {
  override readonly name: string = "NativeError";

  constructor(
    /** What was being done: "load BPF object", "mmap". */
    readonly operation: string,
    /** What it was done to: a path, a program, a file descriptor. */
    readonly object: string,
    /** Why it failed, one sentence without a full stop. */
    readonly reason: string,
    /** The positive errno, where the kernel gave one. */
    readonly errno?: number,
    /** More lines for a person who wants to know, such as the end of the verifier's log. */
    readonly detail?: string,
  ) {
    super(`${operation} ${object}: ${reason}`);
  }

  /** @param errno positive */
  static fromErrno(operation: string, object: string, errno: number, detail?: string): NativeError {
    return new NativeError(operation, object, describeErrno(errno), errno, detail);
  }
}

/** Text and name of a positive errno: `permission denied (EACCES)`. */
export function describeErrno(errno: number): string {
  if (errno === ENOTSUPP) return "operation not supported by this kernel (ENOTSUPP)";
  const entry = getSystemErrorMap().get(-errno);
  return entry ? `${entry[1]} (${entry[0]})` : `error ${errno}`;
}
