/** What tracing costs those who are traced: CPU time of network operations with and without a tracer. */
import { measureWork, programTable, type Work } from "./bpf_time.ts";
import { LoadGenerator, type Runner, temporaryNamespace } from "./load.ts";
import {
  OPERATIONS,
  type Operation,
  operations,
  type PerOperation,
  perOperation,
  windowSizes,
} from "./operations.ts";
import { atMost, type Report, type Table } from "./report.ts";
import { machineCpuTime } from "./resources.ts";
import { type Figure, figure, lowerQuartile } from "./statistics.ts";
import { Portolan, Tcplife, type Tracer } from "./tracers.ts";

const PORTOLAN = "Portolan";
const WITHOUT_UDP = "Portolan, UDP off";
const TCPLIFE = "tcplife";
const TRACERS: Record<string, () => Promise<Tracer>> = {
  [PORTOLAN]: () => Portolan.start(),
  [WITHOUT_UDP]: () => Portolan.start("--udp-enabled=false"),
  [TCPLIFE]: () => Tcplife.start(),
};

const WINDOWS = 30;
/** More of connections: their phases are also held against the clock of the whole machine. */
const CONNECTION_WINDOWS = 100;
/** After a start or a stop, for what follows from it in the kernel. */
const SETTLE_MS = 50;

/** What operations cost for a while, in ns. */
interface Phase {
  load: PerOperation;
  /** Of everything on the machine, for each connection. */
  machine: number;
}

/** One phase with a tracer and the mean of the phases without it before and after. */
interface Pair {
  off: Phase;
  on: Phase;
}

/** @param cycles how often each tracer is switched on and off */
export async function hooks(cycles = 14): Promise<Report> {
  using generator = await LoadGenerator.compile();
  using namespace = await temporaryNamespace();
  using runner = generator.runner(namespace);
  const sizes = await windowSizes(runner);

  const pairs: Record<string, Pair[]> = {};
  let before = await measure(runner, sizes);
  for (let cycle = 0; cycle < cycles; cycle++) {
    for (const [name, start] of Object.entries(TRACERS)) {
      const on = await tracing(start, () => measure(runner, sizes));
      const after = await measure(runner, sizes);
      pairs[name] ??= [];
      pairs[name].push({ off: await mean(before, after), on });
      before = after;
    }
  }
  const work: Record<string, Work> = {};
  for (const [name, start] of Object.entries(TRACERS)) {
    work[name] = await tracing(start, (tracer) => measureWork(tracer, runner, sizes));
  }
  return report(new Costs(pairs, work), work);
}

async function tracing<Result>(
  start: () => Promise<Tracer>,
  run: (tracer: Tracer) => Promise<Result>,
): Promise<Result> {
  const tracer = await start();
  try {
    await Bun.sleep(SETTLE_MS);
    return await run(tracer);
  } finally {
    await tracer.stop();
    await Bun.sleep(SETTLE_MS);
  }
}

/** The lower quartile of windows: what others do on the machine only adds. */
async function measure(runner: Runner, sizes: PerOperation): Promise<Phase> {
  let machine = NaN;
  const load = await perOperation(async (operation) => {
    const count = sizes[operation];
    if (operation !== "tcp_connection") {
      return lowerQuartile(await runner.run(operation, count, WINDOWS));
    }
    const before = machineCpuTime();
    const windows = await runner.run(operation, count, CONNECTION_WINDOWS);
    machine = (machineCpuTime() - before) / (count * CONNECTION_WINDOWS);
    return lowerQuartile(windows);
  });
  return { load, machine };
}

async function mean(a: Phase, b: Phase): Promise<Phase> {
  return {
    load: await perOperation((operation) => (a.load[operation] + b.load[operation]) / 2),
    machine: (a.machine + b.machine) / 2,
  };
}

/** What the pairs and the tracers' own work say together. */
class Costs {
  constructor(
    private readonly pairs: Readonly<Record<string, readonly Pair[]>>,
    private readonly work: Readonly<Record<string, Work>>,
  ) {}

  off(operation: Operation): Figure {
    const all = Object.values(this.pairs).flat();
    return figure(all.map(({ off }) => off.load[operation]));
  }

  /** ns added to an operation. */
  added(tracer: string, operation: Operation): Figure {
    return figure(this.#added(tracer, operation));
  }

  /** % added to an operation. */
  share(tracer: string, operation: Operation): Figure {
    const pairs = this.pairs[tracer] ?? [];
    return figure(pairs.map(({ off, on }) => (on.load[operation] / off.load[operation] - 1) * 100));
  }

  /** ns of a connection in all: what is added to the load, and the tracer's own process. */
  connection(tracer: string): Figure {
    const own = this.work[tracer]?.process ?? NaN;
    return figure(this.#added(tracer, "tcp_connection").map((added) => added + own));
  }

  /** ns that a connection adds to all that runs on the machine, the tracer's process included. */
  machine(tracer: string): Figure {
    return figure((this.pairs[tracer] ?? []).map(({ off, on }) => on.machine - off.machine));
  }

  /** What one tracer adds to a connection in relation to another, cycle by cycle. */
  relation(tracer: string, other: string): Figure {
    const others = this.#added(other, "tcp_connection");
    const ours = this.#added(tracer, "tcp_connection");
    return figure(ours.map((added, cycle) => added / (others[cycle] ?? NaN)));
  }

  #added(tracer: string, operation: Operation): number[] {
    return (this.pairs[tracer] ?? []).map(
      ({ off, on }) => on.load[operation] - off.load[operation],
    );
  }
}

function report(costs: Costs, work: Readonly<Record<string, Work>>): Report {
  const names = Object.keys(TRACERS);
  const byOperation = (title: string, unit: "%" | "ns", of: "share" | "added"): Table => ({
    title,
    rowName: "operation",
    columns: [
      { name: "untraced", unit: "ns" },
      ...names.map((name) => ({ name: `${name}: added`, unit })),
    ],
    rows: operations.map((operation) => ({
      name: OPERATIONS[operation],
      cells: [costs.off(operation), ...names.map((name) => costs[of](name, operation))],
    })),
  });
  const connection: Table = {
    title: "A connection in all",
    rowName: "tracer",
    columns: [
      { name: "added to the load", unit: "ns" },
      { name: "of it run time of BPF", unit: "ns" },
      { name: "the tracer's process", unit: "ns" },
      { name: "sum", unit: "ns" },
      { name: "machine, /proc/stat", unit: "ns" },
    ],
    rows: names.map((name) => ({
      name,
      cells: [
        costs.added(name, "tcp_connection"),
        work[name]?.bpf.tcp_connection ?? null,
        work[name]?.process ?? null,
        costs.connection(name),
        costs.machine(name),
      ],
    })),
  };
  return {
    name: "hooks",
    method: METHOD,
    tables: [
      byOperation("Share added to an operation", "%", "share"),
      byOperation("Time added to an operation", "ns", "added"),
      connection,
      programTable(work),
    ],
    targets: [
      atMost(1, "%", "TCP, 1 B, UDP off", costs.share(WITHOUT_UDP, "tcp_byte")),
      atMost(1, "%", "TCP, 128 KiB, UDP off", costs.share(WITHOUT_UDP, "tcp_bulk")),
      atMost(0.5, "times", "a connection, against tcplife", costs.relation(PORTOLAN, TCPLIFE)),
      atMost(0.5, "times", "the same, UDP off", costs.relation(WITHOUT_UDP, TCPLIFE)),
    ],
  };
}

const METHOD = `\
What tracing adds to the operations of one process that holds both ends of its connections on loopback, in CPU time of
that process. So it pays for both ends, and does nothing but networking: the worst case. Each tracer is started and
stopped again and again; each time with it is held against the mean of the times without any tracer before and after.
A time is the lower quartile of ${WINDOWS} windows of 2 ms. In brackets: 95 % confidence interval of the median.
A tracer's own process was measured apart, warm, each connection told twice (it has two ends): Portolan's as JSON to a
client, tcplife's as lines to /dev/null. Run times of BPF are from kernel.bpf_stats_enabled, whose own 20 ns or so a run
are in them.`;
