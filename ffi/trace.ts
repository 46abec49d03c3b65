import { writeSync } from "node:fs";

type NativeFunction = (...args: unknown[]) => unknown;

/** Histogram of durations: four buckets per power of two of nanoseconds, so at most 19 % off. */
class CallStatistics {
  readonly #buckets = new Uint32Array(4 * 40);
  count = 0;
  #totalNs = 0;

  add(ns: number): void {
    this.count++;
    this.#totalNs += ns;
    const bucket = Math.min(Math.floor(4 * Math.log2(Math.max(ns, 1))), this.#buckets.length - 1);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
  }

  /** Upper bound in ns of the bucket that holds the given share (0 to 1) of the calls. */
  #percentile(share: number): number {
    let bucket = 0;
    for (let seen = 0; seen < share * this.count; bucket++) seen += this.#buckets[bucket] ?? 0;
    return Math.round(2 ** (bucket / 4));
  }

  toString(): string {
    const average = Math.round(this.#totalNs / this.count);
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => this.#percentile(share));
    return `count=${this.count} avg=${average}ns p50=${p50}ns p90=${p90}ns p99=${p99}ns`;
  }
}

const enabled = process.env.PORTOLAN_TRACE_FFI === "1";
const statistics = new Map<string, CallStatistics>();

if (enabled) {
  process.on("exit", () => {
    for (const [symbol, calls] of statistics) {
      if (calls.count > 0) writeSync(2, `ffi ${symbol} ${calls}\n`);
    }
  });
}

/**
 * The same functions, timed when PORTOLAN_TRACE_FFI=1 (a table per thread goes to stderr when it
 * ends); otherwise `symbols` itself, so that tracing costs nothing when off.
 */
export function traced<Symbols extends object>(library: string, symbols: Symbols): Symbols {
  if (!enabled) return symbols;
  const wrap = ([name, call]: [string, NativeFunction]) => {
    const calls = new CallStatistics();
    statistics.set(`${library}.${name}`, calls);
    const timed: NativeFunction = (...args) => {
      const start = Bun.nanoseconds();
      const result = call(...args);
      calls.add(Bun.nanoseconds() - start);
      return result;
    };
    return [name, timed];
  };
  return Object.fromEntries(Object.entries(symbols).map(wrap)) as Symbols;
}
