/** The WebAssembly kernels against their TypeScript twins: what each earns, without any BPF. */
import { encode } from "@msgpack/msgpack";
import type { Connection } from "../../src/model/connection.ts";
import { Fixture, random, record, v4 } from "../../src/state/fixture.ts";
import type { Rows } from "../../src/state/rows.ts";
import { connectionTwin } from "../../src/wasm/twins/connection.ts";
import { deltaTwin, type TwinTold } from "../../src/wasm/twins/delta.ts";
import type { ConnRecord } from "../../src/wasm/twins/record.ts";
import { atLeast, type Report, type Table, type Target } from "./report.ts";
import { type Figure, figure } from "./statistics.ts";

/** Connections, and how often each contest is held. */
const SIZES = [
  { size: 10_000, rounds: 7 },
  { size: 100_000, rounds: 4 },
];
/** Share of the connections that changed between two fetches. */
const CHANGED = 0.3;
const PROCESS_ID = 1;
const PROCESS = {
  comm: "nginx",
  exe: "/usr/sbin/nginx",
  ppid: 1,
  uid: 33,
  startTime: 1_700_000_000_000,
};
const EPHEMERAL = { first: 32_768, last: 60_999 };
const LEAST_GAIN = 1.5;
/** Rounds before those that count, so that the code is compiled. */
const WARM_UP = 1;

/** One piece of work done in each way: ns of CPU for each connection, round by round. */
interface Contest {
  wasm: number[];
  /** The whole twin. */
  twin: number[];
  /** Only its encoding of objects that are ready. */
  ready: number[];
}

export function state(sizes = SIZES): Report {
  const results = sizes.map(({ size, rounds }) => ({ size, contests: compete(size, rounds) }));
  const tables = results.map(
    ({ size, contests }): Table => ({
      title: `${size.toLocaleString("en")} connections`,
      rowName: "work",
      columns: [
        { name: "WebAssembly", unit: "ns" },
        { name: "TypeScript", unit: "ns" },
        { name: "faster", unit: "times" },
        { name: "objects ready", unit: "ns" },
        { name: "faster than that", unit: "times" },
      ],
      rows: [...contests].map(([name, { wasm, twin, ready }]) => ({
        name,
        cells: [
          figure(wasm),
          ...[twin, ready].flatMap((other) =>
            other.length === 0 ? [null, null] : [figure(other), gain(wasm, other)],
          ),
        ],
      })),
    }),
  );
  const targets = results.flatMap(({ size, contests }): Target[] =>
    [...contests].map(([name, { wasm, twin, ready }]) => {
      const what = `${name}, ${size.toLocaleString("en")} connections: faster than TypeScript`;
      return atLeast(LEAST_GAIN, "times", what, gain(wasm, ready.length === 0 ? twin : ready));
    }),
  );
  return { name: "state", method: METHOD, tables, targets };
}

function gain(wasm: readonly number[], other: readonly number[]): Figure {
  return figure(other.map((ns, round) => ns / (wasm[round] ?? NaN)));
}

function compete(size: number, rounds: number): Map<string, Contest> {
  const fixture = new Fixture({ maxTracked: size });
  fixture.state.processes.put(PROCESS_ID, PROCESS);
  const pick = random(1);
  let records = Array.from({ length: size }, (_, index) => connection(BigInt(index + 1), pick));
  const nothing: TwinTold = { open: new Map(), departed: new Map() };
  const twins = deltaTwin(nothing, [], records, size).active;
  let told = nothing;
  const timer = new Timer(size);
  for (let round = -WARM_UP; round < rounds; round++) {
    timer.counts = round >= 0;
    const segments = fixture.open(records);
    {
      using delta = timer.time("delta", "wasm", () => fixture.state.delta("a", segments, 0n));
      const pass = timer.time("delta", "twin", () => deltaTwin(told, [], records, size));
      if (delta.count !== pass.active.length) throw new Error("the deltas differ");
      told = pass.told;
      delta.commit();
    }
    using rows = fixture.state.snapshot(segments);
    for (const { name, format, encodeObjects } of FORMATS) {
      timer.time(name, "wasm", () => encodeRows(fixture, rows, format));
      const objects = timer.time(name, "twin", () => {
        const built = twins.map((row) => connectionTwin(row, PROCESS, EPHEMERAL));
        encodeObjects(built);
        return built;
      });
      timer.time(name, "ready", () => encodeObjects(objects));
    }
    records = records.map((each) => (pick(100) < CHANGED * 100 ? moved(each) : each));
  }
  return timer.contests;
}

/** Each encodes to bytes. */
const FORMATS = [
  {
    name: "JSON",
    format: "json",
    encodeObjects: (all: readonly Connection[]) => new TextEncoder().encode(JSON.stringify(all)),
  },
  {
    name: "msgpack",
    format: "msgpack",
    encodeObjects: (all: readonly Connection[]) => encode(all),
  },
] as const;

function encodeRows(fixture: Fixture, rows: Rows, format: "json" | "msgpack"): void {
  const envelope = { clientId: "", latestTime: 0n, telemetry: {} };
  for (const _ of fixture.encoder.encode(rows, format, envelope, () => PROCESS_ID));
}

function connection(cookie: bigint, pick: (limit: number) => number): ConnRecord {
  return record({
    cookie,
    created: 1n,
    updated: 3_000_000_000_000n + cookie,
    sent_bytes: BigInt(pick(1e6)),
    recv_bytes: BigInt(pick(1e9)),
    sent_packets: BigInt(pick(1e3)),
    recv_packets: BigInt(pick(1e6)),
    raddr: v4(192, 0, 2, pick(256)),
    lport: EPHEMERAL.first + pick(EPHEMERAL.last - EPHEMERAL.first),
    netns: 4_026_531_840,
    pid: 1_000 + pick(100),
    rtt: pick(100_000),
    rttvar: pick(10_000),
    established: 1,
    direction: 2,
  });
}

function moved(before: ConnRecord): ConnRecord {
  return {
    ...before,
    updated: before.updated + 1_000_000n,
    sent_bytes: before.sent_bytes + 100n,
    sent_packets: before.sent_packets + 1n,
  };
}

/** Times all sides of all contests. */
class Timer {
  /** False while the code still warms up. */
  counts = false;
  readonly contests = new Map<string, Contest>();

  constructor(private readonly size: number) {}

  time<Result>(name: string, side: keyof Contest, run: () => Result): Result {
    Bun.gc(true); // what is left of the work before is not this one's
    const start = process.cpuUsage();
    const result = run();
    const { user, system } = process.cpuUsage(start);
    if (this.counts) this.#contest(name)[side].push(((user + system) * 1e3) / this.size);
    return result;
  }

  #contest(name: string): Contest {
    const contest = this.contests.get(name) ?? { wasm: [], twin: [], ready: [] };
    this.contests.set(name, contest);
    return contest;
  }
}

const METHOD = `\
The kernels of src/wasm against the TypeScript twins that the tests hold them against, with the same records, without any
BPF: CPU time of the process for each connection. Delta: what changed for a client, ${CHANGED * 100} % of the connections having done so.
JSON and msgpack: the rows of a document as bytes; in TypeScript the building of the objects and JSON.stringify or
@msgpack/msgpack, and once more without the building, the best that JavaScript could do. The rule is that a kernel stays
only if it is ${LEAST_GAIN} times faster, for the encoders: than JavaScript at its best.`;
