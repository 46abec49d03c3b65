/** The operations of load.c, and how long a window of each is. */
import type { Counts, Runner } from "./load.ts";
import { median } from "./statistics.ts";

export const OPERATIONS = {
  tcp_connection: "TCP connection, 100 B and 1,000 B",
  tcp_byte: "TCP send and receive, 1 B",
  tcp_bulk: "TCP send and receive, 128 KiB",
  udp_datagram: "UDP send and receive, 64 B",
} as const;

export type Operation = keyof typeof OPERATIONS;
export const operations = Object.keys(OPERATIONS) as Operation[];

/** One value for each operation. */
export type PerOperation<Value> = Record<Operation, Value>;

/** ns; long enough for the clock, and so short that the machine's speed is the same all along. */
export const WINDOW_NS = 250_000;
const FIRST_GUESS: Counts = { count: 20, controls: 20 };
const FIRST_WINDOWS = 20;

export async function perOperation<Value>(
  measure: (operation: Operation) => Value | Promise<Value>,
): Promise<PerOperation<Value>> {
  const values: Partial<PerOperation<Value>> = {};
  for (const operation of operations) values[operation] = await measure(operation);
  return values as PerOperation<Value>;
}

/** How many operations and controls make a window; the same for every tracer. */
export function windowCounts(runner: Runner): Promise<PerOperation<Counts>> {
  return perOperation(async (operation) => {
    const windows = await runner.run(operation, FIRST_GUESS, FIRST_WINDOWS);
    const count = (costs: number[]) => Math.ceil(WINDOW_NS / median(costs));
    return {
      count: count(windows.map(({ cost }) => cost)),
      controls: count(windows.map(({ control }) => control)),
    };
  });
}
