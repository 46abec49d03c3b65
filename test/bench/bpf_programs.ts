/** The BPF programs of this machine, as the kernel and bpftool tell of them. */
import { readdirSync, readFileSync } from "node:fs";
import { isGone } from "./resources.ts";

/** What the kernel has counted of a BPF program, while kernel.bpf_stats_enabled is 1. */
export interface ProgramTime {
  name: string;
  runs: number;
  /** ns in all. */
  time: number;
}

/** The BPF programs that a process has loaded. */
export function programTimes(pid: number): Map<number, ProgramTime> {
  const programs = new Map<number, ProgramTime>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    let info: string;
    try {
      info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    } catch (error) {
      if (!isGone(error)) throw error;
      continue; // closed meanwhile
    }
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(info)?.[1]);
    const id = field("prog_id");
    const [runs, time] = [field("run_cnt"), field("run_time_ns")];
    if (!Number.isNaN(runs)) programs.set(id, { name: "", runs, time });
  }
  for (const { id, name } of loadedPrograms()) {
    const program = programs.get(id);
    if (program !== undefined) program.name = name;
  }
  return programs;
}

/** All BPF programs of this machine; names have at most 15 characters. */
export function loadedPrograms(): { id: number; name: string }[] {
  const { stdout } = Bun.spawnSync(["bpftool", "-j", "prog", "show"]);
  return JSON.parse(stdout.toString()).map(({ id, name = "" }: { id: number; name?: string }) => ({
    id,
    name,
  }));
}
