/** A directory of a test's own, from which it runs dist/portolan and where nothing may stay of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Inventory, leftBehind, takeInventory } from "./leftovers.ts";
import { Tracer } from "./tracer.ts";

/** The executable that all of this is about. */
export const EXECUTABLE = join(import.meta.dir, "../../dist/portolan");

const RUN_TIMEOUT_MS = 20_000;
const TEST_TIMEOUT_MS = 30_000;

export interface LaunchOptions {
  /** Words in front of the executable's: a command that confines itself and then executes the rest of its line. */
  within?: readonly string[];
  /** The executable, where it is known under another path. */
  executable?: string;
  /** Added to the environment, which has nothing else of Portolan's or Bun's. */
  environment?: Record<string, string>;
  /** The default is a directory without files. */
  cwd?: string;
}

export interface StartOptions extends LaunchOptions {
  /** Path of the unix socket; the default is the sandbox's own. */
  socket?: string;
  /** Path under which this process reaches it, where that is another one. */
  reach?(pid: number): string;
}

/** What is left of a process that ran to its end. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export class Sandbox {
  readonly #directory: string;
  readonly #tracers: Tracer[] = [];
  #launched = 0;

  private constructor(private readonly before: Inventory) {
    this.#directory = mkdtempSync(join(tmpdir(), "portolan-e2e-"));
    for (const name of ["cwd", "tmp", "logs"]) mkdirSync(this.path(name));
  }

  static async create(): Promise<Sandbox> {
    return new Sandbox(await takeInventory());
  }

  /** A path inside. */
  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Where tracers listen by default; its directory is theirs to make and to remove. */
  get socket(): string {
    return this.path("run/portolan.sock");
  }

  /** The directory for temporary files that everything here is given. */
  get tmp(): string {
    return this.path("tmp");
  }

  /** Runs `portolan WORDS` to its end. */
  async run(words: readonly string[], options: LaunchOptions = {}): Promise<Outcome> {
    const { child, logs } = this.#launch(words, options);
    const timer = setTimeout(() => child.kill("SIGKILL"), RUN_TIMEOUT_MS);
    await child.exited;
    clearTimeout(timer);
    const [stdout, stderr] = [logs.stdout, logs.stderr].map((path) => readFileSync(path, "utf8"));
    return { code: child.exitCode, stdout: stdout ?? "", stderr: stderr ?? "" };
  }

  /** Starts `portolan run FLAGS` and waits until it answers on its unix socket. */
  async start(flags: readonly string[] = [], options: StartOptions = {}): Promise<Tracer> {
    const { socket = this.socket, reach } = options;
    return this.startAsIs(["run", "--listen", `unix:${socket}`, ...flags], {
      ...options,
      reach: reach ?? (() => socket),
    });
  }

  /** The same for a command line that says itself where to listen. */
  async startAsIs(
    words: readonly string[],
    options: LaunchOptions & { reach(pid: number): string },
  ): Promise<Tracer> {
    const { child, logs } = this.#launch(words, options);
    const tracer = new Tracer(child, options.reach(child.pid), logs);
    this.#tracers.push(tracer);
    await tracer.untilReady();
    return tracer;
  }

  #launch(words: readonly string[], options: LaunchOptions) {
    const { within = [], executable = EXECUTABLE, environment, cwd = this.path("cwd") } = options;
    const log = this.path(`logs/${++this.#launched}`);
    const logs = { stdout: `${log}.out`, stderr: `${log}.err` };
    const child = Bun.spawn([...within, executable, ...words], {
      cwd,
      env: { PATH: process.env.PATH, TMPDIR: this.tmp, ...environment },
      stdin: "ignore",
      stdout: Bun.file(logs.stdout),
      stderr: Bun.file(logs.stderr),
    });
    return { child, logs };
  }

  /** Stops the tracers that still run; fails where one does not end well or leaves something behind. */
  async close(): Promise<void> {
    for (const tracer of this.#tracers.filter(({ hasEnded }) => !hasEnded)) {
      expect(await tracer.stop()).toBe(0);
    }
    expect(await leftBehind(this.before)).toEqual([]);
    expect(readdirSync(this.tmp)).toEqual([]);
    expect(existsSync(this.path("run"))).toBe(false);
  }

  /** Removes what there is, well ended or not. */
  async remove(): Promise<void> {
    for (const tracer of this.#tracers) await tracer.kill();
    rmSync(this.#directory, { recursive: true });
  }
}

const IS_ROOT = process.getuid?.() === 0;

function skip(name: string): void {
  test.skip(`${name}: needs root, to trace`, () => {});
}

/** A test with a sandbox of its own. */
export function sandboxed(name: string, run: (sandbox: Sandbox) => Promise<void>): void {
  if (!IS_ROOT) {
    skip(name);
    return;
  }
  test(
    name,
    async () => {
      const sandbox = await Sandbox.create();
      try {
        await run(sandbox);
        await sandbox.close();
      } finally {
        await sandbox.remove();
      }
    },
    TEST_TIMEOUT_MS,
  );
}

/** Tests that share one sandbox and one tracer, started with `flags` before them. */
export function withTracer(
  name: string,
  flags: readonly string[],
  define: (shared: { sandbox(): Sandbox; tracer(): Tracer }) => void,
): void {
  if (!IS_ROOT) {
    skip(name);
    return;
  }
  describe(name, () => {
    let sandbox: Sandbox;
    let tracer: Tracer;
    beforeAll(async () => {
      sandbox = await Sandbox.create();
      tracer = await sandbox.start(flags);
    }, TEST_TIMEOUT_MS);
    define({ sandbox: () => sandbox, tracer: () => tracer });
    test("leaves nothing behind", () => sandbox.close(), TEST_TIMEOUT_MS);
    afterAll(() => sandbox?.remove());
  });
}
