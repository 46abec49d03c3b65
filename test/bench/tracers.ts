/** The tracers under measurement, as a user starts them. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connections } from "../../src/model/connection.ts";
import { cpuTime, isGone, undoable } from "./resources.ts";

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
  readonly #end: Disposable;

  private constructor(
    private readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">,
    private readonly directory: string,
  ) {
    this.#end = undoable(() => {
      child.kill("SIGTERM");
      rmSync(directory, { recursive: true });
    });
  }

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
      portolan.#end[Symbol.dispose]();
      const complaint = await Bun.readableStreamToText(child.stderr);
      throw new Error(`${argv.join(" ")}: ${complaint}`, { cause: error });
    }
    return portolan;
  }

  get pid(): number {
    return this.child.pid;
  }

  get #socket(): string {
    return `${this.directory}/socket`;
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

  #fetch(path: string): Promise<Response> {
    return fetch(`http://localhost${path}`, { unix: this.#socket });
  }

  /** How many connections a client is told. */
  async countConnections(client: string): Promise<number> {
    const response = await this.#fetch(`/connections?client_id=${client}`);
    return ((await response.json()) as Connections).conns.length;
  }

  /**
   * Has curl read an answer and throw it away, as ss throws away its own; uncompressed, as compression
   * costs more than it saves on one machine. The size of the answer in bytes, and ms of CPU of curl.
   */
  async read(path: string, accept = "application/json"): Promise<{ bytes: number; cpu: number }> {
    const argv = ["--silent", "--fail", "--unix-socket", this.#socket, "--header"];
    const output = ["--output", "/dev/null", "--write-out", "%{size_download}"];
    const child = Bun.spawn(
      ["curl", ...argv, `Accept: ${accept}`, ...output, `http://localhost${path}`],
      { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    );
    const bytes = Number(await Bun.readableStreamToText(child.stdout));
    if ((await child.exited) !== 0) throw new Error(`GET ${path}: curl exit ${child.exitCode}`);
    return { bytes, cpu: Number(child.resourceUsage()?.cpuTime.total) / 1e3 };
  }

  deliver(): Promise<unknown> {
    return this.read(`/connections?client_id=${CLIENT}`);
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.child.exited;
    this.#end[Symbol.dispose]();
  }
}

/**
 * libbpf-tools' tcplife, which prints a line for each TCP connection that ends. It needs tracefs, which
 * is mounted for it alone.
 */
export class Tcplife implements Tracer {
  readonly #end: Disposable;

  private constructor(private readonly child: Bun.Subprocess<"ignore", "ignore", "inherit">) {
    this.#end = undoable(() => child.kill("SIGINT"));
  }

  static async start(): Promise<Tcplife> {
    const run = "mount -t tracefs tracefs /sys/kernel/tracing && exec tcplife";
    const argv = ["unshare", "--mount", "sh", "-c", run];
    const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
    const tcplife = new Tcplife(child);
    await until(
      "tcplife",
      () => child.exitCode,
      () => isAttached(child.pid),
    );
    return tcplife;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** It prints as it goes. */
  async deliver(): Promise<void> {}

  async stop(): Promise<void> {
    this.#end[Symbol.dispose]();
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
