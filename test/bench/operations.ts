/** The operations of load.c, and how long a window of each is. */
import type { Runner } from "./load.ts";
import { lowerQuartile } from "./statistics.ts";

export const OPERATIONS = {
  tcp_connection: "TCP connection, 100 B and 1,000 B",
  tcp_byte: "TCP send and receive, 1 B",
  tcp_bulk: "TCP send and receive, 128 KiB",
  udp_datagram: "UDP send and receive, 64 B",
  system_call: "getppid(), the control",
} as const;

export type Operation = keyof typeof OPERATIONS;
export const operations = Object.keys(OPERATIONS) as Operation[];

/** One number for each operation. */
export type PerOperation = Record<Operation, number>;

/** ns; long enough for the clock, and so short that most windows are not interrupted. */
const WINDOW_NS = 2e6;
const FIRST_GUESS = 100;

export async function perOperation(
  measure: (operation: Operation) => number | Promise<number>,
): Promise<PerOperation> {
  const values: Partial<PerOperation> = {};
  for (const operation of operations) values[operation] = await measure(operation);
  return values as PerOperation;
}

/** How many operations make a window; the same count for every tracer. */
export function windowSizes(runner: Runner): Promise<PerOperation> {
  return perOperation(async (operation) => {
    const cost = lowerQuartile(await runner.run(operation, FIRST_GUESS, 10));
    return Math.ceil(WINDOW_NS / cost);
  });
}
