import { JSCallback } from "bun:ffi";
import type { LibbpfSymbols } from "./libbpf_symbols.ts";
import { formatVariadic } from "./libc.ts";

/** enum libbpf_print_level */
const LIBBPF_WARN = 0;
const LIBBPF_DEBUG = 2;

/** Characters kept, counted from the end. A verifier log can have 16 MiB, and its end says why. */
const CAPACITY = 256 * 1024;

const VERIFIER_LINES = 20;
const BEGIN_VERIFIER_LOG = "-- BEGIN PROG LOAD LOG --\n";
const END_VERIFIER_LOG = "-- END PROG LOAD LOG --";

/**
 * What libbpf says, captured instead of printed. The callback is one per libbpf instance and runs
 * only on the thread that made it: a line from another thread hangs the process, which is why one
 * thread owns libbpf.
 */
export class LibbpfLog {
  #text = "";
  #captured = 0;
  #taken = 0;
  #level = LIBBPF_WARN;
  /** A field, so that it lives as long as libbpf may call it. */
  readonly #callback: JSCallback;

  constructor(symbols: LibbpfSymbols) {
    this.#callback = new JSCallback(
      (level: number, format: number, args: number) => this.#capture(level, format, args),
      { args: ["i32", "ptr", "ptr"], returns: "i32" },
    );
    symbols.libbpf_set_print(this.#callback.ptr);
  }

  #capture(level: number, format: number, args: number): number {
    if (level > this.#level) return 0;
    const text = formatVariadic(format, args);
    this.#captured += text.length;
    this.#text = (this.#text + text).slice(-CAPACITY);
    return text.length;
  }

  /** Characters captured so far: a mark for `since`. */
  get position(): number {
    return this.#captured;
  }

  /** What was captured since a mark, as far as it is kept. */
  since(position: number): string {
    return this.#text.slice(Math.max(0, this.#text.length - (this.#captured - position)));
  }

  /** What was captured since the last call, as far as it is kept. */
  take(): string {
    const text = this.since(this.#taken);
    this.#taken = this.#captured;
    return text;
  }

  /** Runs `action` and captures debug lines too if `verbose`. */
  withLevel<Result>(verbose: boolean, action: () => Result): Result {
    this.#level = verbose ? LIBBPF_DEBUG : LIBBPF_WARN;
    try {
      return action();
    } finally {
      this.#level = LIBBPF_WARN;
    }
  }
}

/**
 * The lines of a log without libbpf's prefix. Of the verifier's log, of which there is one at most as
 * loading stops at the first program that fails, only the end.
 */
export function summarizeLog(log: string): string[] {
  const end = log.indexOf(END_VERIFIER_LOG);
  if (end < 0) return linesOf(log);
  const begin = log.lastIndexOf(BEGIN_VERIFIER_LOG, end);
  const before = begin < 0 ? "" : log.slice(0, log.lastIndexOf("\n", begin) + 1);
  const verifier = log.slice(begin < 0 ? 0 : begin + BEGIN_VERIFIER_LOG.length, end);
  const after = log.slice(end + END_VERIFIER_LOG.length);
  return [...linesOf(before), ...linesOf(verifier).slice(-VERIFIER_LINES), ...linesOf(after)];
}

function linesOf(text: string): string[] {
  return text.split("\n").flatMap((line) => (line ? [line.replace(/^libbpf: /, "")] : []));
}
