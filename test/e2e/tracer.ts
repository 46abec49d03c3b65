/** One running tracer, from outside: its process, its output, its unix socket. */
import { readFileSync } from "node:fs";
import type { Connections } from "../../src/model/connection.ts";

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;

/** Counters by part of the tracer, as `/debug/stats` has them. */
export type Stats = Record<"kernel" | "state" | "processes", Record<string, number>>;

export class Tracer {
  constructor(
    private readonly child: Bun.Subprocess,
    /** Path under which this process reaches the socket. */
    readonly socket: string,
    private readonly logs: { stdout: string; stderr: string },
  ) {}

  get pid(): number {
    return this.child.pid;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** All that it has written so far. */
  get stdout(): string {
    return readFileSync(this.logs.stdout, "utf8");
  }

  get stderr(): string {
    return readFileSync(this.logs.stderr, "utf8");
  }

  /** Waits for the first answer; throws with its stderr when there is none. */
  async untilReady(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#isHealthy())) {
      if (!this.hasEnded && performance.now() < deadline) {
        await Bun.sleep(10);
        continue;
      }
      await this.kill();
      throw new Error(`portolan does not answer on ${this.socket}: ${this.stderr}`);
    }
  }

  async #isHealthy(): Promise<boolean> {
    try {
      return (await this.get("/health")).ok;
    } catch {
      return false;
    }
  }

  /** Asks over the unix socket. */
  get(path: string, request: RequestInit = {}): Promise<Response> {
    return fetch(`http://localhost${path}`, { ...request, unix: this.socket });
  }

  /** The body of a good answer. */
  async json<T>(path: string): Promise<T> {
    const response = await this.get(path);
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** From now on closed connections are kept for this client. */
  async register(client: string): Promise<void> {
    await this.json(`/register?client_id=${client}`);
  }

  /** What changed for this client since it last asked. */
  fetchConnections(client: string): Promise<Connections> {
    return this.json(`/connections?client_id=${client}`);
  }

  stats(): Promise<Stats> {
    return this.json("/debug/stats");
  }

  /** Stops it as a service manager or a Ctrl-C does, and answers its exit code. */
  async stop(signal: "SIGINT" | "SIGTERM" = "SIGTERM"): Promise<number | null> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    this.child.kill(signal);
    await this.child.exited;
    clearTimeout(timer);
    return this.child.exitCode;
  }

  /** Ends it without letting it clean up. */
  async kill(): Promise<void> {
    if (!this.hasEnded) this.child.kill("SIGKILL");
    await this.child.exited;
  }
}
