/** One running tracer, as a user would start it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connections } from "../../src/model/connection.ts";
import type { TracerStatus } from "../../src/model/status.ts";

const EXECUTABLE = join(import.meta.dir, "../../dist/portolan");
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;

/** `dist/portolan run` on a unix socket of its own. */
export class Portolan {
  private constructor(
    private readonly child: Bun.Subprocess,
    private readonly directory: string,
    private readonly socket: string,
  ) {}

  /** Starts a tracer and waits until it answers; throws with its stderr when it does not. */
  static async start(...flags: string[]): Promise<Portolan> {
    const directory = mkdtempSync(join(tmpdir(), "portolan-test-"));
    const socket = join(directory, "portolan.sock");
    const log = join(directory, "stderr");
    const argv = [EXECUTABLE, "run", "--listen", `unix:${socket}`, ...flags];
    const child = Bun.spawn(argv, {
      cwd: directory,
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(log),
    });
    const portolan = new Portolan(child, directory, socket);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await portolan.#answers())) {
      if (child.exitCode === null && performance.now() < deadline) {
        await Bun.sleep(20);
        continue;
      }
      child.kill("SIGKILL");
      await child.exited;
      throw new Error(`${argv.join(" ")}: does not answer: ${await Bun.file(log).text()}`);
    }
    return portolan;
  }

  async #answers(): Promise<boolean> {
    try {
      return (await fetch("http://localhost/health", { unix: this.socket })).ok;
    } catch {
      return false;
    }
  }

  async #get(path: string): Promise<Response> {
    const response = await fetch(`http://localhost${path}`, { unix: this.socket });
    if (!response.ok) throw new Error(`GET ${path}: ${response.status}: ${await response.text()}`);
    return response;
  }

  /** From now on closed connections are kept for this client. */
  async register(client: string): Promise<void> {
    await this.#get(`/register?client_id=${client}`);
  }

  /** What changed for this client since it last asked. */
  async fetchConnections(client: string): Promise<Connections> {
    return (await (await this.#get(`/connections?client_id=${client}`)).json()) as Connections;
  }

  async status(): Promise<TracerStatus> {
    return (await (await this.#get("/debug/status")).json()) as TracerStatus;
  }

  /** The rung that TCP tracing stands on. */
  async attachFamily(): Promise<string> {
    const { capabilities } = await this.status();
    const life = capabilities.find(({ name }) => name === "tcp_life");
    const taken = life?.rungs.find(({ state }) => state === "taken");
    if (taken === undefined) throw new Error("the tracer has taken no rung of tcp_life");
    return taken.rung;
  }

  /** Every counter, by part of the tracer. */
  async stats(): Promise<Record<string, Record<string, number>>> {
    return (await (await this.#get("/debug/stats")).json()) as Record<
      string,
      Record<string, number>
    >;
  }

  /** Stops the tracer as a service manager does and answers its exit code. */
  async stop(): Promise<number> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    this.child.kill("SIGTERM");
    const code = await this.child.exited;
    clearTimeout(timer);
    rmSync(this.directory, { recursive: true, force: true });
    return code;
  }
}
