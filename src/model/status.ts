/** What a tracer says of itself: capabilities, hooks, tables. */

/** One rung of one capability's ladder and what became of it. */
export interface RungStatus {
  /** How it attaches: fentry, kprobe, tracepoint, cgroup, task_walk, … */
  rung: string;
  /** - `untried`: a better rung was taken. - `off`: switched off by the configuration. */
  state: "taken" | "untried" | "off" | "refused";
  /** Why it is not taken; absent when it is. */
  reason?: string;
}

/** One capability of the tracer, its rungs best first. */
export interface CapabilityStatus {
  name: string;
  summary: string;
  rungs: RungStatus[];
  /** What the user can do when no rung was taken. */
  advice?: string;
}

/** Fill of one bounded table. */
export interface TableStatus {
  name: string;
  entries: number;
  capacity: number;
  /** Memory it occupies, where that is known. */
  bytes?: number;
}

/** Cost of one kernel program; the counts are 0 unless `kernel.bpf_stats_enabled` is 1. */
export interface ProgramStatus {
  name: string;
  id: number;
  runCount: number;
  /** Mean run time in nanoseconds. */
  meanNs: number;
  /** Runs that the kernel skipped because the program was already running on that processor. */
  recursionMisses: number;
}

/** The body of `GET /debug/status`. */
export interface TracerStatus {
  version: string;
  /** `uname -r`. */
  kernel: string;
  /** Milliseconds since the Unix epoch. */
  startedAt: number;
  capabilities: CapabilityStatus[];
  programs: ProgramStatus[];
  tables: TableStatus[];
}
