/** The parts of a fetch, timed one by one: what the collector does, in this process. */
import { monotonicNow } from "../../ffi/libc.ts";
import { bpfObject, sharedLibraries, wasmModule } from "../../src/assets.ts";
import { collectorConfig } from "../../src/cli/tracer.ts";
import { configSchema } from "../../src/config/schema.ts";
import { EbpfSource } from "../../src/sources/ebpf/source.ts";
import { ConnectionState } from "../../src/state/connection_state.ts";
import { DocumentEncoder } from "../../src/state/document.ts";
import type { Rows } from "../../src/state/rows.ts";
import { loadKernels } from "../../src/wasm/kernels.ts";
import { RecordMemory } from "../../src/wasm/memory.ts";
import type { HeldSockets } from "./load.ts";
import { type Figure, figure } from "./statistics.ts";

/** Rounds before those that count, so that the code is compiled. */
const WARM_UP = 2;
/** The process that all connections are said to have. */
const PROCESS_ID = 1;
const PROCESS = {
  comm: "load",
  exe: "/usr/bin/load",
  ppid: 1,
  uid: 0,
  startTime: 1_700_000_000_000,
};
const EPHEMERAL = { first: 32_768, last: 60_999 };

/** ms of each part, by its name. */
export type Parts = Record<string, Figure>;

/** @param changed connections over which something goes between the first and the second delta */
export async function fetchParts(
  held: HeldSockets,
  changed: number,
  rounds: number,
): Promise<Parts> {
  const config = collectorConfig(configSchema.parse({}));
  const memory = new RecordMemory();
  const kernels = loadKernels(wasmModule("state"), memory);
  const state = new ConnectionState({
    memory,
    kernels,
    maxTracked: config.maxTrackedConnections,
    maxClosed: config.maxClosedConnections,
    clientExpiry: 0n,
  });
  state.processes.put(PROCESS_ID, PROCESS);
  const encoder = new DocumentEncoder(memory, kernels, state.processes, EPHEMERAL);
  const source = new EbpfSource(config, memory, bpfObject, { libraries: sharedLibraries() });
  const samples: Record<string, number[]> = {};
  let counts = false;
  const timed = <Result>(name: string, run: () => Result): Result => {
    const start = performance.now();
    const result = run();
    if (counts) {
      samples[name] ??= [];
      samples[name].push(performance.now() - start);
    }
    return result;
  };
  const encode = (rows: Rows, format: "json" | "msgpack") => {
    const envelope = { clientId: "", latestTime: 0n, telemetry: {} };
    for (const _ of encoder.encode(rows, format, envelope, () => 0));
  };
  try {
    for (let round = -WARM_UP; round < rounds; round++) {
      counts = round >= 0;
      timed("task walk, when something was accepted", () => source.walk());
      timed("refresh of the counters", () => source.refresh());
      const segments = timed("batch read", () => source.readActive());
      const client = `client-${round}`;
      {
        using all = timed("delta, everything", () => state.delta(client, segments, monotonicNow()));
        timed("JSON, everything", () => encode(all, "json"));
        timed("msgpack, everything", () => encode(all, "msgpack"));
        all.commit();
      }
      await held.touch(changed);
      source.refresh();
      const again = source.readActive();
      using some = timed("delta, little changed", () => state.delta(client, again, monotonicNow()));
      timed("JSON, little changed", () => encode(some, "json"));
      timed("msgpack, little changed", () => encode(some, "msgpack"));
      some.commit();
      some[Symbol.dispose]();
      state.expireClients(monotonicNow());
    }
  } finally {
    source.close();
  }
  return Object.fromEntries(Object.entries(samples).map(([name, ms]) => [name, figure(ms)]));
}
