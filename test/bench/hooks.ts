/** What tracing costs those who are traced: CPU time of network operations with and without a tracer. */
import {
  type BpfTime,
  BURST,
  bpfTime,
  type ConnectionWork,
  connectionWork,
  programTable,
} from "./bpf_time.ts";
import { type Counts, LoadGenerator, type Runner, temporaryNamespace } from "./load.ts";
import {
  OPERATIONS,
  type Operation,
  operations,
  type PerOperation,
  perOperation,
  WINDOW_NS,
  windowCounts,
} from "./operations.ts";
import { atMost, type Report, type Table } from "./report.ts";
import { type Figure, figure, median } from "./statistics.ts";
import { Portolan, Tcplife, type Tracer } from "./tracers.ts";

const PORTOLAN = "Portolan";
const WITHOUT_UDP = "Portolan, UDP off";
const TCPLIFE = "tcplife";
const TRACERS: Record<string, () => Promise<Tracer>> = {
  [PORTOLAN]: () => Portolan.start(),
  [WITHOUT_UDP]: () => Portolan.start("--udp-enabled=false"),
  [TCPLIFE]: () => Tcplife.start(),
};
const NAMES = Object.keys(TRACERS);

const WINDOWS = 120;
/** After a start, for what a tracer does once, such as compiling its own code. */
const SETTLE_MS = 300;
/** After a stop, for what follows from it in the kernel. */
const CLEANUP_MS = 50;

/** Medians of the windows of one phase. */
interface Phase {
  /** ns. */
  cost: number;
  /** In relation to the control of the same window. */
  relative: number;
}

/** One phase with a tracer, in relation to the mean of the phases without it before and after. */
interface Costs {
  /** ns without a tracer. */
  off: number;
  /** % added by the tracer. */
  added: number;
}

/** All that was measured of one tracer. */
interface Measured {
  costs: PerOperation<Costs>[];
  work: ConnectionWork;
  bpf: BpfTime;
}

/** @param cycles how often each tracer is switched on and off */
export async function hooks(cycles = 24): Promise<Report> {
  using generator = await LoadGenerator.compile();
  using namespace = await temporaryNamespace();
  using runner = generator.runner(namespace);
  const counts = await windowCounts(runner);

  const costs: Record<string, PerOperation<Costs>[]> = {};
  let before = await measure(runner, counts);
  for (let cycle = 0; cycle < cycles; cycle++) {
    for (const name of NAMES) {
      const on = await tracing(name, () => measure(runner, counts));
      const after = await measure(runner, counts);
      costs[name] ??= [];
      costs[name].push(await compare(before, on, after));
      before = after;
    }
  }
  const untraced = await connectionWork(runner);
  const measured: Record<string, Measured> = {};
  for (const name of NAMES) {
    measured[name] = await tracing(name, async (tracer) => ({
      costs: costs[name] ?? [],
      work: await connectionWork(runner, tracer),
      bpf: await bpfTime(runner, tracer),
    }));
  }
  return report(measured, untraced);
}

async function tracing<Result>(
  name: string,
  run: (tracer: Tracer) => Promise<Result>,
): Promise<Result> {
  const tracer = await TRACERS[name]?.();
  if (tracer === undefined) throw new Error(`no tracer is called ${name}`);
  try {
    await Bun.sleep(SETTLE_MS);
    return await run(tracer);
  } finally {
    await tracer.stop();
    await Bun.sleep(CLEANUP_MS);
  }
}

function measure(runner: Runner, counts: PerOperation<Counts>): Promise<PerOperation<Phase>> {
  return perOperation(async (operation) => {
    const windows = await runner.run(operation, counts[operation], WINDOWS);
    return {
      cost: median(windows.map(({ cost }) => cost)),
      relative: median(windows.map(({ cost, control }) => cost / control)),
    };
  });
}

function compare(
  before: PerOperation<Phase>,
  on: PerOperation<Phase>,
  after: PerOperation<Phase>,
): Promise<PerOperation<Costs>> {
  return perOperation((operation) => {
    const [one, other] = [before[operation], after[operation]];
    const relative = (one.relative + other.relative) / 2;
    return {
      off: (one.cost + other.cost) / 2,
      added: (on[operation].relative / relative - 1) * 100,
    };
  });
}

function report(measured: Readonly<Record<string, Measured>>, untraced: ConnectionWork): Report {
  const tracers = Object.entries(measured);
  const all = tracers.flatMap(([, { costs }]) => costs);
  const off = (operation: Operation) => figure(all.map((costs) => costs[operation].off));
  const shares = (name: string, operation: Operation) =>
    (measured[name]?.costs ?? []).map((costs) => costs[operation].added);
  const share = (name: string, operation: Operation) => figure(shares(name, operation));
  const added = (name: string, operation: Operation) =>
    figure(shares(name, operation).map((percent) => (percent / 100) * off(operation).median));
  const relation = (name: string, other: string) => {
    const others = shares(other, "tcp_connection");
    return figure(shares(name, "tcp_connection").map((one, cycle) => one / (others[cycle] ?? NaN)));
  };
  const byOperation = (title: string, unit: "%" | "ns", of: typeof share): Table => ({
    title,
    rowName: "operation",
    columns: [{ name: "untraced", unit: "ns" }, ...NAMES.map((name) => ({ name, unit }))],
    rows: operations.map((operation) => ({
      name: OPERATIONS[operation],
      cells: [off(operation), ...NAMES.map((name) => of(name, operation))],
    })),
  });
  return {
    name: "hooks",
    method: METHOD,
    tables: [
      byOperation("Added to an operation, share", "%", share),
      byOperation("Added to an operation, time", "ns", added),
      connectionTable(measured, untraced, added),
      programTable(Object.fromEntries(tracers.map(([name, { bpf }]) => [name, bpf]))),
    ],
    targets: [
      atMost(1, "%", "TCP, 1 B, UDP off: added", share(WITHOUT_UDP, "tcp_byte")),
      atMost(1, "%", "TCP, 128 KiB, UDP off: added", share(WITHOUT_UDP, "tcp_bulk")),
      atMost(0.5, "times", "added to a connection, against tcplife", relation(PORTOLAN, TCPLIFE)),
      atMost(0.5, "times", "the same, UDP off", relation(WITHOUT_UDP, TCPLIFE)),
    ],
  };
}

function connectionTable(
  measured: Readonly<Record<string, Measured>>,
  untraced: ConnectionWork,
  added: (name: string, operation: Operation) => Figure,
): Table {
  return {
    title: "A connection in all",
    rowName: "tracer",
    columns: [
      { name: "added to the load", unit: "ns" },
      { name: "of it BPF", unit: "ns" },
      { name: "the tracer's process", unit: "ns" },
      { name: "the whole machine", unit: "ns" },
    ],
    rows: [
      { name: "none", cells: [0, 0, 0, untraced.machine] },
      ...Object.entries(measured).map(([name, { bpf, work }]) => ({
        name,
        cells: [
          added(name, "tcp_connection"),
          bpf.total.tcp_connection,
          work.process,
          work.machine,
        ],
      })),
    ],
  };
}

const METHOD = `\
What tracing adds to the operations of one process that holds both ends of its connections on loopback: it pays for both
and does nothing but networking, the worst case. Measured is the CPU time of that process, in which loopback's softirqs
run too. Each tracer is started and stopped again and again, and each time with it is held against the mean of the
times without any tracer before and after. Because a shared machine changes its speed all the time, each operation is
measured in windows of ${WINDOW_NS / 1e6} ms with sockets of their own, in turn with a control: the same calls on unix sockets, at
which no tracer looks. What counts is the median relation of the two.

"In all" is from one long run with each tracer, warm. Both ends of each connection are told: by Portolan as JSON to a
client that asks every ${BURST.toLocaleString("en")} connections, by tcplife as lines to /dev/null. Run times of BPF are the kernel's
(kernel.bpf_stats_enabled), whose own 20 ns or so a run are in them. The whole machine is by /proc/stat: the load, the
tracer, its reader, and whatever else ran.`;
