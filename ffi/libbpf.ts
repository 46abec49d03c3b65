import type { Pointer } from "bun:ffi";
import { BpfObject, type OpenOptions } from "./bpf_object.ts";
import { describeErrno, NativeError } from "./errors.ts";
import { LibbpfLog, summarizeLog } from "./libbpf_log.ts";
import { type LibbpfSymbols, openLibbpf } from "./libbpf_symbols.ts";
import { lastErrno } from "./libc.ts";
import type { LibrarySource } from "./library.ts";
import { toAddress } from "./pointer.ts";

/** enum libbpf_errno: libbpf's own error codes begin here, above those of the kernel. */
const LIBBPF_ERRNO_START = 4000;

/**
 * One instance of libbpf. It belongs to the thread that loaded it (see LibbpfLog); file descriptors of
 * programs and maps may be handed to other threads.
 */
export class Libbpf {
  readonly #log: LibbpfLog;
  readonly #message = new Uint8Array(128);

  private constructor(
    /** For the classes of ffi/ that wrap libbpf's structs. */
    readonly symbols: LibbpfSymbols,
  ) {
    this.#log = new LibbpfLog(symbols);
  }

  /**
   * Loads libbpf from the images that travel with us, or the user's own from `path`.
   *
   * @throws NativeError also when it is older than 1.0, which reports errors in another way
   */
  static load(from: LibrarySource): Libbpf {
    const libbpf = new Libbpf(openLibbpf(from));
    if (libbpf.symbols.libbpf_major_version() < 1) {
      const object = "path" in from ? from.path : "libbpf";
      throw new NativeError("load library", object, `${libbpf.version()} is older than v1.0`);
    }
    return libbpf;
  }

  /** For example `v1.1`. */
  version(): string {
    return this.symbols.libbpf_version_string() ?? "unknown";
  }

  /** CPUs that may ever come online: the number of values in each entry of a per-CPU map. */
  possibleCpus(): number {
    return this.check("count", "possible CPUs", () => this.symbols.libbpf_num_possible_cpus());
  }

  /**
   * Parses a compiled BPF object; nothing reaches the kernel before `load`.
   *
   * @param name the kernel shows its first eight letters in the names of global data
   * @throws NativeError when it is no BPF object, or only a part of one
   */
  openObject(name: string, bytes: Uint8Array, options: OpenOptions = {}): BpfObject {
    return BpfObject.open(this, name, bytes, options);
  }

  /** The warnings since the last call, and debug lines of objects opened with a log level; bounded. */
  lastLog(): string {
    return this.#log.take();
  }

  /** Runs `action` and captures libbpf's debug lines too if `verbose`. */
  withLog<Result>(verbose: boolean, action: () => Result): Result {
    return this.#log.withLevel(verbose, action);
  }

  /**
   * The result of a function that returns a negative errno when it fails.
   *
   * @throws NativeError with what libbpf and the verifier said during the call
   */
  check(operation: string, object: string, call: () => number): number {
    const start = this.#log.position;
    const result = call();
    if (result < 0) throw this.#error(operation, object, -result, start);
    return result;
  }

  /** The same for a function that returns NULL and sets errno; returns the address. */
  checkPointer(operation: string, object: string, call: () => Pointer | bigint | null): number {
    const start = this.#log.position;
    const address = toAddress(call());
    if (address === 0) throw this.#error(operation, object, lastErrno(), start);
    return address;
  }

  #error(operation: string, object: string, code: number, logStart: number): NativeError {
    const lines = summarizeLog(this.#log.since(logStart));
    const text = this.#describe(code);
    const reason = lines[0] === undefined ? text : `${text}: ${lines[0]}`;
    const errno = code < LIBBPF_ERRNO_START ? code : undefined;
    return new NativeError(operation, object, reason, errno, lines.join("\n") || undefined);
  }

  #describe(code: number): string {
    if (code < LIBBPF_ERRNO_START) return describeErrno(code);
    this.symbols.libbpf_strerror(code, this.#message, this.#message.byteLength);
    return new TextDecoder().decode(this.#message.subarray(0, this.#message.indexOf(0)));
  }
}
