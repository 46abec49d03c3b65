/** What a tracer must not leave behind: programs, maps and links in the kernel, and mounts. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { command } from "../integration/namespaces.ts";

const KINDS = ["prog", "map", "link"] as const;

/** The kernel frees what a process held some milliseconds after its end. */
const GRACE_MS = 5_000;

/** What there was at one time: "prog 12", "map 3", "link 4", and lines of mountinfo. */
export type Inventory = ReadonlySet<string>;

/** What bpftool lists, and the mounts. */
export async function takeInventory(): Promise<Inventory> {
  const lists = await Promise.all(
    KINDS.map(async (kind) => (await list(kind)).map(({ id }) => `${kind} ${id}`)),
  );
  return new Set([...lists.flat(), ...mounts()]);
}

/** Asks again where bpftool fails, as it does when an object goes away while it is looked at. */
async function list(kind: string): Promise<{ id: number }[]> {
  const deadline = performance.now() + GRACE_MS;
  for (;;) {
    try {
      return JSON.parse(await command("bpftool", "-j", kind, "show"));
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(50);
    }
  }
}

/** Whatever is there now, wasn't there before, and isn't some living process's own, such as another tracer's. */
export async function leftBehind(before: Inventory, graceMs = GRACE_MS): Promise<string[]> {
  const deadline = performance.now() + graceMs;
  for (;;) {
    const fresh = [...(await takeInventory())].filter((one) => !before.has(one));
    const held = fresh.length > 0 ? heldByProcesses() : new Set();
    const left = fresh.filter((one) => !held.has(one));
    if (left.length === 0 || performance.now() > deadline) return left;
    await Bun.sleep(50);
  }
}

/** Without the names of network namespaces, which tests make at any time. */
function mounts(): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.includes(" - nsfs "));
}

/** Objects to which some process has a descriptor. */
function heldByProcesses(): Set<string> {
  const held = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        if (!readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("anon_inode:bpf")) continue;
        const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
        for (const [, kind, id] of info.matchAll(/^(prog|map|link)_id:\s*(\d+)$/gm)) {
          held.add(`${kind} ${id}`);
        }
      }
    } catch (error) {
      // The process or its descriptor is gone meanwhile, or it hides them, which no tracer does.
      const { code = "" } = error as NodeJS.ErrnoException;
      if (!["ENOENT", "ESRCH", "EACCES"].includes(code)) throw error;
    }
  }
  return held;
}
