/** Where a tracer's cost arises: run time of its BPF programs, and CPU time of its own process. */
import { readFileSync, writeFileSync } from "node:fs";
import { programTimes } from "./bpf_programs.ts";
import type { Runner } from "./load.ts";
import { OPERATIONS, type PerOperation, perOperation } from "./operations.ts";
import type { Table } from "./report.ts";
import { cpuTime, machineCpuTime, undoable } from "./resources.ts";
import type { Tracer } from "./tracers.ts";

const STATS = "/proc/sys/kernel/bpf_stats_enabled";
/** Programs with fewer runs than this in an operation ran for someone else. */
const LEAST_RUNS = 0.1;
/** Connections before the measurement, so that the tracer's own code is compiled. */
const WARM_UP = 20_000;
/** Connections between two deliveries: few enough that Portolan still keeps all of them. */
export const BURST = 5_000;
const BURSTS = 6;
/** Operations of each kind in which run times are counted. */
const OPERATION_COUNT = 5_000;

/** CPU time of a connection in ns. */
export interface ConnectionWork {
  /** Of the tracer's process. */
  process: number;
  /** Of all that ran on the machine. */
  machine: number;
}

/** Makes connections and has them delivered, until that costs what it costs in the long run. */
export async function connectionWork(runner: Runner, tracer?: Tracer): Promise<ConnectionWork> {
  const bursts = async (connections: number) => {
    for (let done = 0; done < connections; done += BURST) {
      await runner.make("tcp_connection", BURST);
      await tracer?.deliver();
    }
  };
  const read = () => ({
    process: tracer === undefined ? 0 : cpuTime(tracer.pid),
    machine: machineCpuTime(),
  });
  await bursts(WARM_UP);
  const before = read();
  await bursts(BURSTS * BURST);
  const after = read();
  return {
    process: (after.process - before.process) / (BURSTS * BURST),
    machine: (after.machine - before.machine) / (BURSTS * BURST),
  };
}

/** One program in one operation. */
interface ProgramTime {
  operation: string;
  program: string;
  runsPerOperation: number;
  nsPerRun: number;
}

export interface BpfTime {
  programs: ProgramTime[];
  /** ns in each operation. */
  total: PerOperation<number>;
}

/** Run time of a tracer's programs. Counting costs about 20 ns a run, which are within the figures. */
export async function bpfTime(runner: Runner, tracer: Tracer): Promise<BpfTime> {
  using _ = countRunTimes();
  const programs: ProgramTime[] = [];
  const total = await perOperation(async (operation) => {
    const before = programTimes(tracer.pid);
    await runner.make(operation, OPERATION_COUNT);
    let sum = 0;
    for (const [id, { name, runs, time }] of programTimes(tracer.pid)) {
      const newRuns = runs - (before.get(id)?.runs ?? 0);
      const newTime = time - (before.get(id)?.time ?? 0);
      if (newRuns < LEAST_RUNS * OPERATION_COUNT) continue;
      sum += newTime / OPERATION_COUNT;
      programs.push({
        operation: OPERATIONS[operation],
        program: name,
        runsPerOperation: newRuns / OPERATION_COUNT,
        nsPerRun: newTime / newRuns,
      });
    }
    return sum;
  });
  return { programs, total };
}

export function programTable(tracers: Readonly<Record<string, BpfTime>>): Table {
  return {
    title: "BPF programs by operation",
    rowName: "tracer, operation, program",
    columns: [
      { name: "runs per operation", unit: "" },
      { name: "a run", unit: "ns" },
      { name: "an operation", unit: "ns" },
    ],
    rows: Object.entries(tracers).flatMap(([tracer, { programs }]) =>
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
