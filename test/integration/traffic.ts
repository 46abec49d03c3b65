/** Starts the traffic programs of `traffic/` and reads what they say about themselves. */
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { command, type Namespace } from "./namespaces.ts";

const socketReport = z.object({
  /** `end`: taken right before close(); `open`: while it lives on. */
  event: z.enum(["open", "end"]),
  type: z.enum(["tcp", "udp"]),
  direction: z.enum(["incoming", "outgoing"]),
  pid: z.number(),
  netns: z.number(),
  laddr: z.string(),
  /** 0 where the program can't know it any more. */
  lport: z.number(),
  raddr: z.string(),
  rport: z.number(),
  /** Payload bytes, summed from the return values of the program's own calls. */
  sent: z.number(),
  received: z.number(),
  /** TCP: segments by TCP_INFO; UDP: datagrams by the program's own count. */
  packetsSent: z.number(),
  packetsReceived: z.number(),
  retransmits: z.number(),
  established: z.boolean(),
  /** Of the first call that failed; 0: none. */
  errno: z.number(),
  /** The packet counts were read after the kernel was done with the connection. */
  final: z.boolean(),
});

const report = z.discriminatedUnion("event", [
  socketReport,
  z.object({
    event: z.literal("listening"),
    pid: z.number(),
    netns: z.number(),
    port: z.number(),
  }),
  z.object({ event: z.literal("waiting"), pid: z.number() }),
  z.object({
    event: z.literal("load"),
    pid: z.number(),
    netns: z.number(),
    connections: z.number(),
    sent: z.number(),
    received: z.number(),
  }),
]);

/** What one socket did, by the return values of its own calls. */
export type SocketReport = z.infer<typeof socketReport>;
type Report = z.infer<typeof report>;
type ReportOf<E extends Report["event"]> = Extract<Report, { event: E }>;

/** The name of the compiled program, which is its `comm` too. */
export const PROGRAM_NAME = "traffic";

function isSameSocket(one: SocketReport, other: SocketReport): boolean {
  return (
    one.pid === other.pid &&
    one.laddr === other.laddr &&
    one.lport === other.lport &&
    one.raddr === other.raddr &&
    one.rport === other.rport
  );
}

const SOURCES = join(import.meta.dir, "traffic");
const OUTPUT = join(import.meta.dir, "../../dist/test");

let compiled: Promise<string> | undefined;

/** Compiles the programs, once per test process; in place of older ones in one step, as those may run. */
function program(): Promise<string> {
  compiled ??= (async () => {
    mkdirSync(OUTPUT, { recursive: true });
    const path = join(OUTPUT, PROGRAM_NAME);
    const fresh = `${path}.${process.pid}`;
    const sources = [...new Bun.Glob("*.c").scanSync(SOURCES)].sort();
    const flags = ["-std=gnu17", "-O2", "-Wall", "-Werror", "-pthread"];
    await command("clang", ...flags, "-o", fresh, ...sources.map((name) => join(SOURCES, name)));
    renameSync(fresh, path);
    return path;
  })();
  return compiled;
}

/** Where and towards what a program runs. */
export interface TrafficOptions {
  /** Own address, `10.0.0.1:0` or `[fd00::1]:0`. */
  bind?: string;
  connect?: string;
  /** How often the operations run; 0: until stdin ends. */
  count?: number;
}

/** One running traffic program. */
export class Traffic {
  readonly #reports: Report[] = [];
  #arrival = Promise.withResolvers<void>();
  #allRead = false;
  readonly #finished: Promise<void>;

  private constructor(private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">) {
    this.#finished = this.#read();
  }

  /** Starts `traffic FAMILY OPERATIONS` in a namespace; the operations are words with blanks between. */
  static async start(
    namespace: Namespace,
    family: "tcp" | "udp" | "load",
    operations: string,
    options: TrafficOptions = {},
  ): Promise<Traffic> {
    const argv = [await program(), "-N", namespace.path];
    if (options.bind !== undefined) argv.push("-b", options.bind);
    if (options.connect !== undefined) argv.push("-c", options.connect);
    if (options.count !== undefined) argv.push("-n", String(options.count));
    argv.push(family, ...operations.split(" "));
    return new Traffic(Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "pipe" }));
  }

  get pid(): number {
    return this.child.pid;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#reports.push(report.parse(JSON.parse(line)));
      this.#arrival.resolve();
      this.#arrival = Promise.withResolvers();
    }
    this.#allRead = true;
    this.#arrival.resolve();
  }

  /** The first report of this kind; waits for it at most `timeoutMs`. */
  async until<E extends Report["event"]>(event: E, timeoutMs = 10_000): Promise<ReportOf<E>> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = this.#reports.find((one): one is ReportOf<E> => one.event === event);
      if (found !== undefined) return found;
      if (this.#allRead || performance.now() > deadline) {
        throw new Error(`traffic never said "${event}": ${await this.#complaint()}`);
      }
      await Promise.race([this.#arrival.promise, Bun.sleep(deadline - performance.now())]);
    }
  }

  /** Lets a program go on that waits at `gate`. */
  go(): void {
    this.child.stdin.write("\n");
    this.child.stdin.flush();
  }

  /** Ends a program that runs until its stdin ends. */
  stop(): void {
    this.child.stdin.end();
  }

  /** Waits for the end of the program and answers the last report of each of its sockets. */
  async sockets(timeoutMs = 20_000): Promise<SocketReport[]> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.kill();
    }, timeoutMs);
    await Promise.all([this.child.exited, this.#finished]);
    clearTimeout(timer);
    const killedItself = this.child.signalCode === "SIGKILL" && !timedOut;
    if (this.child.exitCode !== 0 && !killedItself) throw new Error(await this.#complaint());
    return this.socketsSoFar();
  }

  /** The last report of each socket that has reported yet; tuples may have been used again. */
  socketsSoFar(): SocketReport[] {
    const sockets = this.#reports.filter(
      (one): one is SocketReport => one.event === "open" || one.event === "end",
    );
    const ended = sockets.filter((one) => one.event === "end");
    const open = sockets.filter((one) => one.event === "open");
    return [...ended, ...open.filter((one) => !ended.some((later) => isSameSocket(one, later)))];
  }

  /** The totals of a `load` program, at its end. */
  async load(timeoutMs = 120_000): Promise<ReportOf<"load">> {
    return this.until("load", timeoutMs);
  }

  /** Kills what may be left of it; for clean-up only. */
  kill(): void {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
  }

  async #complaint(): Promise<string> {
    this.kill();
    await this.child.exited;
    const stderr = await Bun.readableStreamToText(this.child.stderr);
    return `exit ${this.child.exitCode ?? this.child.signalCode}: ${stderr.trim()}`;
  }
}
