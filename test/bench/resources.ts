/** What a process and the machine use, as the kernel accounts for it, and how to leave nothing behind. */
import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time in ns of all threads that the process has now. From the scheduler's own clock: the times of
 * /proc/PID/stat are in ticks of 10 ms.
 */
export function cpuTime(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      total += Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8"), 10);
    } catch (error) {
      if (!isGone(error)) throw error; // it has ended since the directory was read
    }
  }
  return total;
}

/** Whether a file below /proc could not be read because what it is about has ended. */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ESRCH";
}

/** Ticks of /proc/stat that are neither idle nor stolen by the hypervisor; USER_HZ is 100. */
const NS_PER_TICK = 1e9 / 100;

/** CPU time in ns of everything on this machine, in steps of 10 ms. */
export function machineCpuTime(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) * NS_PER_TICK;
}

/** Memory of a process in MB (10^6 bytes). */
export interface Memory {
  /** All of its pages in RAM. */
  rss: number;
  /** The same, pages shared with other processes counted in part. */
  pss: number;
  /** The most that `rss` has been. */
  peak: number;
}

export function memory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return {
    rss: megabytes(status, "VmRSS"),
    pss: megabytes(rollup, "Pss"),
    peak: megabytes(status, "VmHWM"),
  };
}

/** The value in kB of a line "Name:  123 kB". */
function megabytes(text: string, name: string): number {
  return (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024) / 1e6;
}

/** Undoes something at the end of the scope, and also when the program is interrupted before. */
export function undoable(undo: () => void): Disposable {
  const once = () => {
    process.off("exit", once);
    undo();
  };
  process.on("exit", once);
  return { [Symbol.dispose]: once };
}
