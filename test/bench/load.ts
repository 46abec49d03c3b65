/** Compiles and drives the load generator. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, Namespace } from "../integration/namespaces.ts";
import type { Operation } from "./operations.ts";
import { undoable } from "./resources.ts";

/** Operations before those of each window, as in load.c. */
const WARM_UP = 20;
/** Connections of one holder: both ends of each are its files, of which a process may have 20,000. */
const CONNECTIONS_PER_HOLDER = 9000;

let made = 0;

/** A network namespace with loopback, for as long as the scope lasts. */
export async function temporaryNamespace(): Promise<Namespace & Disposable> {
  const namespace = await Namespace.create(`bench-${made++}`);
  const removal = undoable(() => {
    Bun.spawnSync(["ip", "netns", "delete", namespace.name]);
  });
  return Object.assign(namespace, { [Symbol.dispose]: () => removal[Symbol.dispose]() });
}

/** The compiled load generator, for as long as the scope lasts. */
export class LoadGenerator implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "portolan-bench-"));
  readonly #removal = undoable(() => rmSync(this.#directory, { recursive: true }));
  readonly #path = join(this.#directory, "load");

  static async compile(): Promise<LoadGenerator> {
    const generator = new LoadGenerator();
    const source = join(import.meta.dir, "load.c");
    await command("clang", "-std=gnu17", "-O2", "-Wall", "-Werror", "-o", generator.#path, source);
    return generator;
  }

  /** Starts a process that runs operations when told to. */
  runner(namespace: Namespace): Runner {
    return new Runner([...enter(namespace), this.#path, "run"]);
  }

  /** Opens so many TCP sockets, half of them clients, and keeps them open. */
  async hold(namespace: Namespace, sockets: number): Promise<HeldSockets> {
    const holders: Lines[] = [];
    for (let left = sockets / 2; left > 0; left -= CONNECTIONS_PER_HOLDER) {
      const address = `127.0.0.${10 + holders.length}`;
      const count = Math.min(left, CONNECTIONS_PER_HOLDER);
      holders.push(new Lines([...enter(namespace), this.#path, "hold", address, `${count}`]));
    }
    const held = new HeldSockets(holders);
    for (const holder of holders) await holder.next();
    return held;
  }

  [Symbol.dispose](): void {
    this.#removal[Symbol.dispose]();
  }
}

function enter(namespace: Namespace): string[] {
  return ["nsenter", `--net=${namespace.path}`];
}

/** Operations and controls in a window. */
export interface Counts {
  count: number;
  controls: number;
}

/** ns of CPU that one of each took. */
export interface Window {
  cost: number;
  control: number;
}

/** A load generator that waits for orders. */
export class Runner implements Disposable {
  readonly #lines: Lines;

  constructor(argv: string[]) {
    this.#lines = new Lines(argv);
  }

  /** So many operations in all. */
  async make(operation: Operation, count: number): Promise<void> {
    await this.run(operation, { count: count - WARM_UP, controls: 0 }, 1);
  }

  /** So many windows, each of `count` operations and `controls` of their controls. */
  async run(operation: Operation, { count, controls }: Counts, windows: number): Promise<Window[]> {
    const answer = await this.#lines.ask(`${operation} ${count} ${controls} ${windows}`);
    const times = answer.trim().split(" ").map(Number);
    return Array.from({ length: windows }, (_, window) => ({
      cost: (times[2 * window] ?? NaN) / count,
      control: (times[2 * window + 1] ?? NaN) / controls,
    }));
  }

  [Symbol.dispose](): void {
    this.#lines[Symbol.dispose]();
  }
}

/** Open TCP connections. */
export class HeldSockets implements Disposable {
  constructor(private readonly holders: readonly Lines[]) {}

  /** Lets a byte go over so many of the connections in each holder, others every time. */
  async touch(connections: number): Promise<void> {
    const each = Math.ceil(connections / this.holders.length);
    for (const holder of this.holders) await holder.ask(`${each}`);
  }

  [Symbol.dispose](): void {
    for (const holder of this.holders) holder[Symbol.dispose]();
  }
}

/** A process that is asked and answers in lines. */
class Lines implements Disposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #answers: AsyncGenerator<string, void>;

  constructor(argv: string[]) {
    this.#child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#answers = lines(this.#child.stdout);
  }

  ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    this.#child.stdin.flush();
    return this.next();
  }

  async next(): Promise<string> {
    const { value } = await this.#answers.next();
    if (value === undefined) throw new Error(`the load ended: exit ${await this.#child.exited}`);
    return value;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

async function* lines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const complete = (rest + text).split("\n");
    rest = complete.pop() ?? "";
    yield* complete;
  }
}
