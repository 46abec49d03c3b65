/** What /proc knows about a process that is alive. */
import { readFileSync, readlinkSync } from "node:fs";
import type { ProcessIdentity } from "./cache.ts";

/** USER_HZ: the unit of the times in /proc/PID/stat, 100 on every architecture that Bun runs on. */
const TICKS_PER_SECOND = 100;

/**
 * Reads /proc/PID. Undefined when the process is gone, also when it goes while being read: that is
 * the normal fate of a process and no error.
 */
export function readProcess(pid: number, root = "/proc"): ProcessIdentity | undefined {
  try {
    const stat = parseStat(readFileSync(`${root}/${pid}/stat`, "latin1"));
    const uid = /^Uid:\t\d+\t(\d+)/m.exec(readFileSync(`${root}/${pid}/status`, "latin1"));
    if (stat === undefined || uid === null) return undefined;
    return { pid, ...stat, exe: readExe(pid, root) ?? "", uid: Number(uid[1]) };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The path of the file that the process runs; undefined for a kernel thread or when it is gone. */
export function readExe(pid: number, root = "/proc"): string | undefined {
  try {
    return readlinkSync(`${root}/${pid}/exe`);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Gone, or hidden from us (hidepid, another user's in a container). */
function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM";
}

/**
 * The fields of /proc/PID/stat that matter. The name stands in parentheses and may hold spaces and
 * parentheses itself, so fields are counted from the last one.
 */
function parseStat(text: string): Pick<ProcessIdentity, "comm" | "ppid" | "startTime"> | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  const fields = text.slice(close + 2).split(" ");
  return {
    comm: text.slice(open + 1, close),
    ppid: Number(fields[1]),
    startTime: (Number(fields[19]) / TICKS_PER_SECOND) * 1e9,
  };
}
