/** One test file of exactness rows: one network, one tracer, one client, a test for each row. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Exactness, undocumented, writeExactness } from "./exactness.ts";
import { accountOf, differences, type Expectation, expectation, isSettled } from "./expectation.ts";
import { Ledger } from "./ledger.ts";
import { type Namespace, Network } from "./namespaces.ts";
import { Portolan } from "./portolan.ts";
import { Traffic, type TrafficOptions } from "./traffic.ts";

const ROW_TIMEOUT_MS = 30_000;
const SETTLE_TIMEOUT_MS = 5_000;

/** What a row's traffic is made with. */
export class Stage {
  readonly network: Network;
  readonly #running: Traffic[] = [];
  readonly #standing: Traffic[] = [];

  private constructor(network: Network) {
    this.network = network;
  }

  static async create(): Promise<Stage> {
    return new Stage(await Network.create());
  }

  /** Starts a program; it is killed after the row if it still runs. */
  async start(
    namespace: Namespace,
    family: "tcp" | "udp" | "load",
    operations: string,
    options?: TrafficOptions,
  ): Promise<Traffic> {
    const traffic = await Traffic.start(namespace, family, operations, options);
    this.#running.push(traffic);
    return traffic;
  }

  /** What runs by now runs on beyond the end of the next row. */
  keepRunning(): void {
    this.#standing.push(...this.#running.splice(0));
  }

  endRow(): void {
    for (const traffic of this.#running.splice(0)) traffic.kill();
  }

  async remove(): Promise<void> {
    this.endRow();
    for (const traffic of this.#standing.splice(0)) traffic.kill();
    await this.network.remove();
  }
}

/** How the rows of a file are made. */
export interface Suite {
  stage(): Stage;
  portolan(): Portolan;
  ledger(): Ledger;
  /**
   * One row: `run` makes the traffic and answers what must be told of it. `differs` is the row's result
   * in docs/exactness.md where the expectation itself departs from the programs' own counts; `skip` is
   * why this machine can't make the row's traffic.
   */
  row(
    name: string,
    run: (stage: Stage) => Promise<Expectation[]>,
    options?: { differs?: string; skip?: string | undefined },
  ): void;
}

/**
 * Declares a file's suite. `before` makes traffic that has to be there before the tracer starts; the
 * rows follow in `define`.
 */
export function exactness(
  group: string,
  define: (suite: Suite) => void,
  options: { flags?: string[]; before?: (stage: Stage) => Promise<void> } = {},
): void {
  let stage: Stage;
  let portolan: Portolan;
  let ledger: Ledger;
  const results: Exactness[] = [];
  let rows = 0;
  const claimed = new Set<string>();
  const cleanUps: (() => Promise<void>)[] = [];

  if (process.getuid?.() !== 0) {
    test.skip(`${group}: needs root, to make network namespaces and to trace`, () => {});
    return;
  }

  beforeAll(async () => {
    stage = await Stage.create();
    cleanUps.unshift(() => stage.remove());
    await options.before?.(stage);
    stage.keepRunning();
    portolan = await Portolan.start(...(options.flags ?? []));
    cleanUps.unshift(async () => expect(await portolan.stop()).toBe(0));
    ledger = new Ledger(portolan);
    await ledger.register();
  }, 60_000);

  define({
    stage: () => stage,
    portolan: () => portolan,
    ledger: () => ledger,
    row(name, run, { differs, skip } = {}) {
      if (skip !== undefined) {
        test.skip(`${name}: ${skip}`, () => {});
        return;
      }
      rows++;
      test(
        name,
        async () => {
          try {
            const wanted = await run(stage);
            await ledger.collect(
              () => wanted.every((one) => isSettled(ledger, one)),
              SETTLE_TIMEOUT_MS,
            );
            for (const one of wanted) {
              const account = accountOf(ledger, one);
              if (account !== undefined) claimed.add(account.row.cookie);
            }
            expect(wanted.flatMap((one) => differences(ledger, one))).toEqual([]);
            results.push({ row: name, result: differs ?? "exact" });
          } finally {
            stage.endRow();
          }
        },
        ROW_TIMEOUT_MS,
      );
    },
  });

  test("nothing is told twice, and nothing that was not", async () => {
    const { a, b } = stage.network;
    const namespaces = new Set([await a.inode(), await b.inode()]);
    const ours = () => [...ledger.accounts.values()].filter(({ row }) => namespaces.has(row.netNS));
    const before = JSON.stringify(ours());
    await Bun.sleep(1000);
    await ledger.fetch();
    expect(ledger.violations).toEqual([]);
    expect(JSON.stringify(ours())).toEqual(before);
    expect(ours().filter(({ row }) => !claimed.has(row.cookie))).toEqual([]);
  });

  test("docs/exactness.md has these results", async () => {
    expect(results.length).toBe(rows);
    writeExactness(await portolan.attachFamily(), group, results);
    expect(undocumented(group, results)).toEqual([]);
  });

  afterAll(async () => {
    const done = await Promise.allSettled(cleanUps.map((cleanUp) => cleanUp()));
    for (const one of done) if (one.status === "rejected") throw one.reason;
  }, 30_000);
}

/** A server and a client that talk to each other. */
export interface Pair {
  server: string;
  client: string;
  /** Which address of which link the client connects to; the default is `v4` over the veth. */
  over?: "v4" | "v6" | "mapped" | "loopback" | "loopback6";
  count?: number;
}

const LINKS = {
  v4: { listen: "0.0.0.0:0", connect: "10.77.0.2", crossing: true },
  v6: { listen: "[::]:0", connect: "[fd77::2]", crossing: true },
  mapped: { listen: "[::]:0", connect: "[::ffff:10.77.0.2]", crossing: true },
  loopback: { listen: "127.0.0.1:0", connect: "127.0.0.1", crossing: false },
  loopback6: { listen: "[::1]:0", connect: "[::1]", crossing: false },
};

/** Runs a pair of TCP programs to their ends and answers what must be told of both. */
export async function tcpPair(stage: Stage, pair: Pair): Promise<Expectation[]> {
  const link = LINKS[pair.over ?? "v4"];
  const count = pair.count ?? 1;
  const { a, b } = stage.network;
  const server = await stage.start(b, "tcp", pair.server, { bind: link.listen, count });
  const { port } = await server.until("listening");
  const client = await stage.start(link.crossing ? a : b, "tcp", pair.client, {
    connect: `${link.connect}:${port}`,
    count,
  });
  const [atClient, atServer] = await Promise.all([client.sockets(), server.sockets()]);
  expect([atClient.length, atServer.length]).toEqual([count, count]);
  return [...atClient, ...atServer].map((one) => expectation(one));
}
