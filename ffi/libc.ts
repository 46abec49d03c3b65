import { dlopen, read as memory, toBuffer } from "bun:ffi";
import { NativeError } from "./errors.ts";
import { toAddress, toPointer } from "./pointer.ts";
import { traced } from "./trace.ts";

export const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;

export const MFD_CLOEXEC = 1;
export const MFD_NOEXEC_SEAL = 8;

const POLLIN = 1;

export const ENOENT = 2;
export const EINTR = 4;
export const EBUSY = 16;
export const EINVAL = 22;
export const ENOSPC = 28;

const EFD_CLOEXEC = O_CLOEXEC;
const SOCK_CLOEXEC = O_CLOEXEC;
const CLOCK_MONOTONIC = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const SC_PAGESIZE = 30;

/**
 * `open` and `syscall` are variadic in C. Declared with a fixed number of integer arguments they are
 * called the same way by the ABIs of Linux on x86-64 and arm64. Results fit in 32 bits wherever
 * `i32` is returned here: file descriptors, lengths below 2 GiB, -1.
 */
const native = traced(
  "libc",
  dlopen("libc.so.6", {
    __errno_location: { args: [], returns: "ptr" },
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    eventfd: { args: ["u32", "i32"], returns: "i32" },
    free: { args: ["ptr"], returns: "void" },
    memfd_create: { args: ["cstring", "u32"], returns: "i32" },
    mmap: { args: ["ptr", "usize", "i32", "i32", "i32", "i64"], returns: "ptr" },
    munmap: { args: ["ptr", "usize"], returns: "i32" },
    open: { args: ["cstring", "i32", "u32"], returns: "i32" },
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
    read: { args: ["i32", "ptr", "usize"], returns: "i32" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    setns: { args: ["i32", "i32"], returns: "i32" },
    syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i32" },
    sysconf: { args: ["i32"], returns: "i32" },
    vasprintf: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
    write: { args: ["i32", "ptr", "usize"], returns: "i32" },
  }).symbols,
);

/**
 * The calling thread's errno. Only meaningful as the very next native call after one that failed,
 * and never after an `await`.
 */
export function lastErrno(): number {
  return memory.i32(toPointer(toAddress(native.__errno_location())), 0);
}

/** The result of `call`, repeated while a signal interrupts it; throws when it is negative. */
function checked(operation: string, object: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = lastErrno();
    if (errno !== EINTR) throw NativeError.fromErrno(operation, object, errno);
  }
}

/** Bytes in a page of memory. */
export const pageSize = native.sysconf(SC_PAGESIZE);

/** Opens a file; O_CLOEXEC is always added. */
export function open(path: string, flags: number, mode = 0): number {
  return checked("open", path, () => native.open(path, flags | O_CLOEXEC, mode));
}

/** Not repeated on EINTR: Linux has released the descriptor by then, and another thread may own it. */
export function close(fd: number): void {
  if (native.close(fd) < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) throw NativeError.fromErrno("close", `file descriptor ${fd}`, errno);
  }
}

/** Reads up to `into.byteLength` bytes; 0 at the end of the file. */
export function read(fd: number, into: Uint8Array | BigUint64Array): number {
  return checked("read", `file descriptor ${fd}`, () => native.read(fd, into, into.byteLength));
}

/** Writes all of `bytes`, in as many calls as it takes. */
export function write(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength; ) {
    const rest = bytes.subarray(written);
    written += checked("write", `file descriptor ${fd}`, () =>
      native.write(fd, rest, rest.byteLength),
    );
  }
}

/** An anonymous file in memory. @param flags MFD_* */
export function memfdCreate(name: string, flags: number): number {
  return checked("memfd_create", name, () => native.memfd_create(name, flags));
}

/** A counter to wake a thread that waits in `poll`. */
export function eventfd(): number {
  return checked("eventfd", "counter", () => native.eventfd(0, EFD_CLOEXEC));
}

/**
 * Maps `length` bytes of a file, shared, and returns the address.
 *
 * @param protection PROT_*
 * @param offset multiple of `pageSize`
 */
export function mmap(fd: number, length: number, protection: number, offset: number): number {
  const address = native.mmap(null, length, protection, MAP_SHARED, fd, offset);
  if (address === MAP_FAILED) {
    throw NativeError.fromErrno("mmap", `file descriptor ${fd}`, lastErrno());
  }
  return toAddress(address);
}

/** Every view of the mapping dangles afterwards: touching one ends the process. */
export function munmap(address: number, length: number): void {
  checked("munmap", `0x${address.toString(16)}`, () => native.munmap(toPointer(address), length));
}

/**
 * Waits until one of `fds` is readable or in error, and returns those that are; none at the end of the
 * time or when a signal came. Blocks the thread: no messages arrive meanwhile.
 *
 * @param timeout milliseconds; -1 waits for ever
 */
export function poll(fds: readonly number[], timeout: number): number[] {
  // struct pollfd { int fd; short events; short revents }, little-endian
  const set = new Int32Array(2 * fds.length);
  fds.forEach((fd, index) => {
    set[2 * index] = fd;
    set[2 * index + 1] = POLLIN;
  });
  if (native.poll(set, fds.length, timeout) < 0) {
    const errno = lastErrno();
    if (errno === EINTR) return [];
    throw NativeError.fromErrno("poll", `file descriptors ${fds.join(", ")}`, errno);
  }
  return fds.filter((_, index) => (set[2 * index + 1] ?? 0) >>> 16 !== 0);
}

const timespec = new BigInt64Array(2);

/** CLOCK_MONOTONIC in ns, comparable with bpf_ktime_get_ns; Bun's own clocks are not. */
export function monotonicNow(): bigint {
  checked("clock_gettime", "CLOCK_MONOTONIC", () =>
    native.clock_gettime(CLOCK_MONOTONIC, timespec),
  );
  const [seconds = 0n, nanoseconds = 0n] = timespec;
  return seconds * 1_000_000_000n + nanoseconds;
}

/**
 * Moves the calling thread, and no other, into a namespace.
 *
 * @param type CLONE_NEW*; 0 takes any
 */
export function setns(fd: number, type: number): void {
  checked("setns", `file descriptor ${fd}`, () => native.setns(fd, type));
}

/** A new socket; arguments as in socket(2), SOCK_CLOEXEC is always added. */
export function socket(domain: number, type: number, protocol: number): number {
  return checked("open socket", `of domain ${domain}`, () =>
    native.socket(domain, type | SOCK_CLOEXEC, protocol),
  );
}

/** A system call without a wrapper in every libc we run on; arguments are integers or addresses. */
export function syscall(
  operation: string,
  object: string,
  number: number,
  ...[a = 0, b = 0, c = 0, d = 0, e = 0]: number[]
): number {
  return checked(operation, object, () => native.syscall(number, a, b, c, d, e));
}

const formatted = new BigUint64Array(1);

/**
 * What printf would print. `arguments_` is the address of a `va_list` as a callback receives it, which
 * is how x86-64 and arm64 pass one; it is used up by this. vasprintf rather than vsnprintf, because a
 * verifier log has any length and a va_list cannot be read twice.
 */
export function formatVariadic(format: number, arguments_: number): string {
  const length = native.vasprintf(formatted, toPointer(format), toPointer(arguments_));
  if (length < 0) return "";
  const address = toPointer(Number(formatted[0]));
  const text = toBuffer(address, 0, length).toString();
  native.free(address);
  return text;
}
