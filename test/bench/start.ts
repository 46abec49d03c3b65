/** What it takes to start, and how much memory it takes to run. */
import { join } from "node:path";
import { LoadGenerator, temporaryNamespace } from "./load.ts";
import { atMost, type Report, type Table } from "./report.ts";
import { memory } from "./resources.ts";
import { type Figure, figure } from "./statistics.ts";
import { Portolan } from "./tracers.ts";

const LOAD_BPF = join(import.meta.dir, "load_bpf.ts");
/** Calls of libbpf in which the kernel verifies, compiles and attaches programs. */
const BPF_CALL =
  /^ffi libbpf\.bpf_(?:object__open_mem|object__load|program__attach\w*) count=(\d+) avg=(\d+)ns/gm;

const IDLE_MS = 2_000;
const SOCKETS = 50_000;
const FETCHES = 10;
const SAMPLE_MS = 5;
/** How often memory with many sockets is measured, each time of a new process. */
const MEMORY_ROUNDS = 3;

/** ms from exec. */
interface Start {
  health: number;
  connections: number;
  /** For libbpf to load and attach the programs, measured right before. */
  bpf: number;
}

/** MB (10^6 bytes). */
interface Resident {
  rss: number;
  pss: number;
}

export async function start(rounds = 10): Promise<Report> {
  const starts: Start[] = [];
  for (let round = 0; round < rounds; round++) {
    const bpf = bpfLoadTime();
    const began = performance.now();
    const portolan = await Portolan.start();
    const health = performance.now() - began;
    await portolan.read("/connections");
    starts.push({ health, connections: performance.now() - began, bpf });
    await portolan.stop();
  }
  const idle = await withoutClients();
  const busy = await withManySockets();
  return report(starts, idle, busy);
}

function bpfLoadTime(): number {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, LOAD_BPF], {
    env: { ...process.env, PORTOLAN_TRACE_FFI: "1" },
    stderr: "pipe",
  });
  const text = stderr.toString();
  const calls = [...text.matchAll(BPF_CALL)];
  if (exitCode !== 0 || calls.length === 0) throw new Error(`${LOAD_BPF}: ${text}`);
  return calls.reduce((sum, [, count, average]) => sum + Number(count) * Number(average), 0) / 1e6;
}

interface Idle extends Resident {
  /** % of one processor. */
  cpu: number;
}

/** With a client it would keep for him what closes on this machine meanwhile. */
async function withoutClients(): Promise<Idle[]> {
  const idle: Idle[] = [];
  for (let round = 0; round < MEMORY_ROUNDS; round++) {
    const portolan = await Portolan.start();
    await Bun.sleep(IDLE_MS / 2);
    const before = portolan.cpu;
    await Bun.sleep(IDLE_MS / 2);
    const cpu = ((portolan.cpu - before) / 1e6 / (IDLE_MS / 2)) * 100;
    idle.push({ ...memory(portolan.pid), cpu });
    await portolan.stop();
  }
  return idle;
}

interface Busy {
  /** After a client has fetched several times. */
  after: Resident[];
  /** The most at any moment of these fetches. */
  during: Resident[];
  /** The kernel's own maximum of the RSS, the start included. */
  peak: number[];
}

async function withManySockets(): Promise<Busy> {
  using generator = await LoadGenerator.compile();
  using namespace = await temporaryNamespace();
  using held = await generator.hold(namespace, SOCKETS);
  const busy: Busy = { after: [], during: [], peak: [] };
  for (let round = 0; round < MEMORY_ROUNDS; round++) {
    const portolan = await Portolan.start();
    let most: Resident = { rss: 0, pss: 0 };
    const sampling = setInterval(() => {
      const { rss, pss } = memory(portolan.pid);
      most = { rss: Math.max(most.rss, rss), pss: Math.max(most.pss, pss) };
    }, SAMPLE_MS);
    for (let i = 0; i < FETCHES; i++) {
      await held.touch(SOCKETS / 2);
      await portolan.deliver();
    }
    clearInterval(sampling);
    await Bun.sleep(IDLE_MS);
    const after = memory(portolan.pid);
    busy.after.push(after);
    busy.during.push(most);
    busy.peak.push(after.peak);
    await portolan.stop();
  }
  return busy;
}

function report(starts: readonly Start[], idle: readonly Idle[], busy: Busy): Report {
  const of = (value: (start: Start) => number): Figure => figure(starts.map(value));
  const beyond = of(({ connections, bpf }) => connections - bpf);
  const rss = (all: readonly Resident[]) => figure(all.map(({ rss }) => rss));
  const pss = (all: readonly Resident[]) => figure(all.map(({ pss }) => pss));
  const many = `${SOCKETS.toLocaleString("en")} sockets`;
  const times: Table = {
    title: "Start",
    rowName: "from exec to",
    columns: [{ name: "wall", unit: "ms" }],
    rows: [
      { name: "the first answer of /health", cells: [of(({ health }) => health)] },
      { name: "the first answer of /connections", cells: [of(({ connections }) => connections)] },
      { name: "loading and attaching of BPF alone", cells: [of(({ bpf }) => bpf)] },
      { name: "the first answer beyond that", cells: [beyond] },
    ],
  };
  const memories: Table = {
    title: "Memory",
    rowName: "when",
    columns: [
      { name: "RSS", unit: "MB" },
      { name: "PSS", unit: "MB" },
      { name: "CPU", unit: "%" },
    ],
    rows: [
      {
        name: `idle, no client, ${IDLE_MS / 1000} s after the start`,
        cells: [rss(idle), pss(idle), figure(idle.map(({ cpu }) => cpu))],
      },
      {
        name: `${many}, while a client fetches`,
        cells: [rss(busy.during), pss(busy.during), null],
      },
      {
        name: `${many}, ${IDLE_MS / 1000} s later`,
        cells: [rss(busy.after), pss(busy.after), null],
      },
      { name: `${many}, the kernel's maximum (VmHWM)`, cells: [figure(busy.peak), null, null] },
    ],
  };
  return {
    name: "start",
    method: METHOD,
    tables: [times, memories],
    targets: [
      atMost(300, "ms", "first answer, beyond the loading of BPF", beyond),
      atMost(80, "MB", "RSS, idle", rss(idle)),
      atMost(130, "MB", `RSS, ${many}, one client, at most`, figure(busy.peak)),
      atMost(130, "MB", `RSS, ${many}, one client, afterwards`, rss(busy.after)),
    ],
  };
}

const METHOD = `\
Time from the start of the process until it has answered over its unix socket, to curl for /connections. What loading and
attaching of the BPF programs alone takes is measured in turn, in another process: the time within libbpf
(PORTOLAN_TRACE_FFI=1). Memory: MB are 10^6 bytes, of one process each time, with all its threads. With sockets, a client
fetches all of them ${FETCHES} times, each of them changed, as JSON; the memory is looked at every ${SAMPLE_MS} ms.`;
