/** Where a tracer's cost arises: run time of its BPF programs, and CPU time of its own process. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Runner } from "./load.ts";
import { OPERATIONS, type PerOperation, perOperation } from "./operations.ts";
import type { Table } from "./report.ts";
import { cpuTime, undoable } from "./resources.ts";
import { programTimes, type Tracer } from "./tracers.ts";

const STATS = "/proc/sys/kernel/bpf_stats_enabled";
/** Fewer runs per operation than this are of someone else's operations. */
const LEAST_RUNS = 0.1;
/** Connections before the measurement, so that the tracer's own code is compiled. */
const WARM_UP = 20_000;
/** Connections between two deliveries: few enough that Portolan still keeps all of them. */
const BURST = 5_000;
const BURSTS = 6;
const WINDOWS = 20;

/** One program in one operation. */
interface ProgramWork {
  operation: string;
  program: string;
  runsPerOperation: number;
  nsPerRun: number;
}

export interface Work {
  programs: ProgramWork[];
  /** ns of BPF in each operation. */
  bpf: PerOperation;
  /** ns of the tracer's process in each connection, both ends told to its reader. */
  process: number;
}

/** Measures a running tracer. Counting costs about 20 ns a run, which are within the figures. */
export async function measureWork(
  tracer: Tracer,
  runner: Runner,
  windowSizes: PerOperation,
): Promise<Work> {
  const burst = async () => {
    await runner.run("tcp_connection", BURST, 1);
    await tracer.deliver();
  };
  for (let done = 0; done < WARM_UP; done += BURST) await burst();
  const start = cpuTime(tracer.pid);
  for (let done = 0; done < BURSTS; done++) await burst();
  const process = (cpuTime(tracer.pid) - start) / (BURSTS * BURST);

  using _ = countRunTimes();
  const programs: ProgramWork[] = [];
  const bpf = await perOperation(async (operation) => {
    const count = windowSizes[operation] * WINDOWS;
    const before = programTimes(tracer.pid);
    await runner.run(operation, count, 1);
    let total = 0;
    for (const [id, { name, runs, time }] of programTimes(tracer.pid)) {
      const newRuns = runs - (before.get(id)?.runs ?? 0);
      const newTime = time - (before.get(id)?.time ?? 0);
      total += newTime;
      if (newRuns < LEAST_RUNS * count) continue;
      programs.push({
        operation: OPERATIONS[operation],
        program: name,
        runsPerOperation: newRuns / count,
        nsPerRun: newTime / newRuns,
      });
    }
    return total / count;
  });
  return { programs, bpf, process };
}

export function programTable(work: Readonly<Record<string, Work>>): Table {
  return {
    title: "BPF programs by operation",
    rowName: "tracer, operation, program",
    columns: [
      { name: "runs per operation", unit: "" },
      { name: "a run", unit: "ns" },
      { name: "an operation", unit: "ns" },
    ],
    rows: Object.entries(work).flatMap(([tracer, { programs }]) =>
      programs.map(({ operation, program, runsPerOperation, nsPerRun }) => ({
        name: `${tracer}, ${operation}, \`${program}\``,
        cells: [runsPerOperation, nsPerRun, runsPerOperation * nsPerRun],
      })),
    ),
  };
}

/** Switches kernel.bpf_stats_enabled on, and at the end back to what it was. */
function countRunTimes(): Disposable {
  const before = readFileSync(STATS, "utf8");
  const restored = undoable(() => writeFileSync(STATS, before));
  writeFileSync(STATS, "1");
  return restored;
}
