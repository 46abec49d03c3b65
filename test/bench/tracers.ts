/** The tracers under measurement, as a user starts them. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connections } from "../../src/model/connection.ts";
import { cpuTime, isGone } from "./resources.ts";

const EXECUTABLE = join(import.meta.dir, "../../dist/portolan");
const READY_TIMEOUT_MS = 20_000;
const CLIENT = "bench";

/** What can be switched on and off during a load. */
export interface Tracer {
  readonly pid: number;
  /** Hands what was traced so far to whoever reads it, where that isn't done all the time. */
  deliver(): Promise<unknown>;
  stop(): Promise<void>;
}

/** One running `dist/portolan run` on a unix socket of its own. */
export class Portolan implements Tracer {
  private constructor(
    private readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">,
    private readonly directory: string,
  ) {}

  /** Starts it and waits until it answers; throws with its stderr when it does not. */
  static async start(...flags: string[]): Promise<Portolan> {
    const directory = mkdtempSync(join(tmpdir(), "portolan-bench-"));
    const argv = [EXECUTABLE, "run", "--listen", `unix:${directory}/socket`, ...flags];
    const child = Bun.spawn(argv, { cwd: directory, stdout: "ignore", stderr: "pipe" });
    const portolan = new Portolan(child, directory);
    try {
      await until(
        "portolan run",
        () => child.exitCode,
        () => portolan.#answers(),
      );
    } catch (error) {
      child.kill("SIGKILL");
      const complaint = await Bun.readableStreamToText(child.stderr);
      throw new Error(`${argv.join(" ")}: ${complaint}`, { cause: error });
    }
    return portolan;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** ns of CPU so far. */
  get cpu(): number {
    return cpuTime(this.pid);
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.#fetch("/health")).ok;
    } catch {
      return false;
    }
  }

  /** Uncompressed, as on one machine compression costs more than it saves; Bun asks for it unless told. */
  #fetch(path: string, accept = "application/json"): Promise<Response> {
    const headers = { accept, "accept-encoding": "identity" };
    return fetch(`http://localhost${path}`, { unix: `${this.directory}/socket`, headers });
  }

  /** Reads all of an answer and forgets it; its size in bytes. */
  async read(path: string, accept?: string): Promise<number> {
    const response = await this.#fetch(path, accept);
    if (!response.ok || response.body === null) throw new Error(`GET ${path}: ${response.status}`);
    let bytes = 0;
    for await (const chunk of response.body) bytes += chunk.length;
    return bytes;
  }

  /** How many connections a client is told. */
  async countConnections(client: string): Promise<number> {
    const response = await this.#fetch(`/connections?client_id=${client}`);
    return ((await response.json()) as Connections).conns.length;
  }

  deliver(): Promise<number> {
    return this.read(`/connections?client_id=${CLIENT}`);
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.child.exited;
    rmSync(this.directory, { recursive: true });
  }
}

/**
 * libbpf-tools' tcplife, which prints a line for each TCP connection that ends. It needs tracefs, which
 * is mounted for it alone.
 */
export class Tcplife implements Tracer {
  private constructor(private readonly child: Bun.Subprocess<"ignore", "ignore", "inherit">) {}

  static async start(): Promise<Tcplife> {
    const run = "mount -t tracefs tracefs /sys/kernel/tracing && exec tcplife";
    const argv = ["unshare", "--mount", "sh", "-c", run];
    const child = Bun.spawn(argv, { stdout: "ignore", stderr: "inherit" });
    await until(
      "tcplife",
      () => child.exitCode,
      () => isAttached(child.pid),
    );
    return new Tcplife(child);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** It prints as it goes. */
  async deliver(): Promise<void> {}

  async stop(): Promise<void> {
    this.child.kill("SIGINT");
    await this.child.exited;
  }
}

async function until(
  name: string,
  exitCode: () => number | null,
  ready: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await ready())) {
    if (exitCode() !== null) throw new Error(`${name} ended: exit ${exitCode()}`);
    if (performance.now() > deadline) throw new Error(`${name} is not ready`);
    await Bun.sleep(2);
  }
}

/** Whether the process holds a BPF link, or the perf event that older kernels have instead. */
function isAttached(pid: number): boolean {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).some((fd) =>
      /bpf_link|perf_event/.test(readlinkSync(`${directory}/${fd}`)),
    );
  } catch (error) {
    if (!isGone(error)) throw error;
    return false; // the process, or a file that it has closed meanwhile
  }
}

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
