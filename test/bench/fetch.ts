/** What a fetch costs with many open connections, next to ss asking for the same. */
import { fetchParts, type Parts } from "./fetch_parts.ts";
import { type HeldSockets, LoadGenerator, temporaryNamespace } from "./load.ts";
import { atLeast, type Report, type Table, type Target } from "./report.ts";
import { type Figure, figure } from "./statistics.ts";
import { Portolan } from "./tracers.ts";

/** Sockets, and how often each request is measured. */
const SIZES = [
  { sockets: 1_000, rounds: 12 },
  { sockets: 10_000, rounds: 10 },
  { sockets: 50_000, rounds: 8 },
];
/** Share of the connections over which something went since the client's last fetch. */
const CHANGED = 0.01;
/** Fetches before the measurement, so that the tracer's own code is compiled. */
const WARM_UP = 3;
/** ss -tinp against a fetch, in wall-clock time, with this many sockets. */
const SPEED_UP = { sockets: 50_000, times: 15 };

const FORMATS = { JSON: "application/json", msgpack: "application/msgpack" };
const SS = "ss -tinp";

interface Sample {
  /** ms */
  wall: number;
  /** ms of CPU of Portolan and curl, or of ss. */
  cpu: number;
  /** Of the answer. */
  bytes: number;
}

/** Samples by what was asked, in the order of the rounds. */
type Samples = Record<string, Sample[]>;

export async function fetches(sizes = SIZES): Promise<Report> {
  using generator = await LoadGenerator.compile();
  const tables: Table[] = [];
  const targets: Target[] = [];
  const parts: { sockets: number; parts: Parts }[] = [];
  for (const { sockets, rounds } of sizes) {
    using namespace = await temporaryNamespace();
    using held = await generator.hold(namespace, sockets);
    const samples = await measure(namespace.path, held, sockets, rounds);
    tables.push(requestTable(sockets, samples));
    if (sockets === SPEED_UP.sockets) targets.push(...speedUps(samples));
    parts.push({ sockets, parts: await fetchParts(held, (sockets / 2) * CHANGED, rounds) });
  }
  const [first] = parts;
  tables.push({
    title: "The parts of a fetch, in the collector",
    rowName: "part",
    columns: parts.map(({ sockets }) => ({
      name: `${sockets.toLocaleString("en")} sockets`,
      unit: "ms",
    })),
    rows: Object.keys(first?.parts ?? {}).map((name) => ({
      name,
      cells: parts.map(({ parts }) => parts[name] ?? null),
    })),
  });
  return { name: "fetch", method: METHOD, tables, targets };
}

async function measure(
  namespacePath: string,
  held: HeldSockets,
  sockets: number,
  rounds: number,
): Promise<Samples> {
  const portolan = await Portolan.start();
  try {
    const told = await portolan.countConnections("warm-up");
    if (told < sockets) throw new Error(`only ${told} of ${sockets} sockets are told`);
    for (let i = 0; i < WARM_UP; i++) await portolan.read("/connections?client_id=warm-up");
    const samples: Samples = {};
    const add = (name: string, sample: Sample) => {
      samples[name] ??= [];
      samples[name].push(sample);
    };
    for (let round = 0; round < rounds; round++) {
      add(SS, runSs(namespacePath));
      for (const [format, accept] of Object.entries(FORMATS)) {
        const path = `/connections?client_id=${format}-${round}`;
        add(`${format}, everything`, await request(portolan, path, accept));
        await held.touch((sockets / 2) * CHANGED);
        add(`${format}, ${CHANGED * 100} % changed`, await request(portolan, path, accept));
      }
    }
    return samples;
  } finally {
    await portolan.stop();
  }
}

async function request(portolan: Portolan, path: string, accept: string): Promise<Sample> {
  const before = portolan.cpu;
  const start = performance.now();
  const { bytes, cpu } = await portolan.read(path, accept);
  const wall = performance.now() - start;
  return { wall, cpu: (portolan.cpu - before) / 1e6 + cpu, bytes };
}

/** Its answer goes nowhere; its own start, a few milliseconds, is part of asking it. */
function runSs(namespacePath: string): Sample {
  const start = performance.now();
  const argv = ["nsenter", `--net=${namespacePath}`, ...SS.split(" ")];
  const { exitCode, resourceUsage } = Bun.spawnSync(argv, { stdout: "ignore", stderr: "inherit" });
  if (exitCode !== 0 || resourceUsage === undefined) throw new Error(`${SS}: exit ${exitCode}`);
  const cpu = Number(resourceUsage.cpuTime.total) / 1e3;
  return { wall: performance.now() - start, cpu, bytes: 0 };
}

function requestTable(sockets: number, samples: Samples): Table {
  return {
    title: `${sockets.toLocaleString("en")} TCP sockets`,
    rowName: "who is asked",
    columns: [
      { name: "wall", unit: "ms" },
      { name: "CPU", unit: "ms" },
      { name: "faster than ss, wall", unit: "times" },
      { name: "less than ss, CPU", unit: "times" },
      { name: "answer", unit: "MB" },
    ],
    rows: Object.entries(samples).map(([name, all]) => ({
      name,
      cells: [
        figure(all.map(({ wall }) => wall)),
        figure(all.map(({ cpu }) => cpu)),
        ...(name === SS
          ? [null, null, null]
          : [
              relation(samples, name, "wall"),
              relation(samples, name, "cpu"),
              figure(all.map(({ bytes }) => bytes / 1e6)).median,
            ]),
      ],
    })),
  };
}

/** ss in relation to a request, round by round. */
function relation(samples: Samples, name: string, what: "wall" | "cpu"): Figure {
  const ss = samples[SS] ?? [];
  return figure((samples[name] ?? []).map((one, round) => (ss[round]?.[what] ?? NaN) / one[what]));
}

function speedUps(samples: Samples): Target[] {
  const { sockets, times } = SPEED_UP;
  return Object.keys(samples)
    .filter((name) => name !== SS)
    .map((name) => {
      const what = `${sockets.toLocaleString("en")} sockets, ${name}: faster than ss`;
      return atLeast(times, "times", what, relation(samples, name, "wall"));
    });
}

const METHOD = `\
TCP sockets that are open in one network namespace, both ends of each connection. Asked in turn: \`${SS}\` in that
namespace (which sees nothing else), and a running Portolan (which sees the whole machine) for \`/connections\`, first as a
new client, which is told everything, and again after a byte went over ${CHANGED * 100} % of the connections. Portolan is asked by curl over
its unix socket; both commands write to /dev/null, and the time they take to start is part of theirs. CPU time is that of
ss, or of Portolan and curl together. The parts were measured with the same code within the benchmark's own process.`;
