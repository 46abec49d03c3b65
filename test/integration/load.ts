/** Short connections as fast as they come, and what a tracer tells of them, added up as it comes. */
import type { Connection } from "../../src/model/connection.ts";
import type { Namespace } from "./namespaces.ts";
import type { Portolan } from "./portolan.ts";
import { Traffic } from "./traffic.ts";

const CLIENT = "load";
/** Fetches in a row without news after which nothing more is expected, and the time between them. */
const QUIET_FETCHES = 3;
const QUIET_MS = 200;
/** Source addresses, so that the ephemeral ports of each last while others are in TIME_WAIT. */
const SOURCES = 16;

/** As in traffic/load.c: what a connection carries follows from the client's port. */
const requestSize = (clientPort: number): number => 64 + (clientPort % 128);
const replySize = (clientPort: number): number => 512 + (clientPort % 512);

/** What was told of the connections of one side, and what is true. */
export interface Side {
  /** Connections told as closed. */
  closed: number;
  sent: number;
  received: number;
  /** Told as closed, but not with the bytes that their port stands for. */
  inexact: number;
  wrongOwner: number;
  truth: { connections: number; sent: number; received: number };
}

/** What became of one load. */
export interface LoadResult {
  client: Side;
  server: Side;
  /** Rows of connections that had been told as closed before. */
  repeated: number;
  /** Connections told as open and never as closed. */
  leftOpen: number;
  /** Ends that the kernel did not deliver, which the tracer found all the same: without their last bytes. */
  closeLost: number;
  /** Ends that the tracer knew of and lost, because its ring was full for too long. */
  closeUntold: number;
  /** Runs of its programs that the kernel skipped. */
  recursionMisses: number;
}

/** Makes `total` connections, `atOnce` at a time, and asks the tracer for what changed all along. */
export async function load(
  portolan: Portolan,
  namespace: Namespace,
  total: number,
  atOnce: number,
  fetchEveryMs = 200,
): Promise<LoadResult> {
  await portolan.register(CLIENT);
  await portolan.fetchConnections(CLIENT);
  const lossesBefore = await losses(portolan);

  const server = await Traffic.start(namespace, "load", "server 127.0.0.1:0");
  try {
    const { port, netns } = await server.until("listening");
    const operations = `client 127.0.0.1:${port} ${total} ${atOnce} ${SOURCES}`;
    const client = await Traffic.start(namespace, "load", operations);
    const tally = new Tally(netns, port, { client: client.pid, server: server.pid });
    const fetch = async (): Promise<void> => {
      for (const row of (await portolan.fetchConnections(CLIENT)).conns) tally.book(row);
    };

    let over = false;
    const finished = client.load().finally(() => {
      over = true;
    });
    while (!over) {
      await Promise.race([finished, Bun.sleep(fetchEveryMs)]);
      await fetch();
    }
    server.stop();
    const truth = { client: await finished, server: await server.load() };

    // What is still on its way: the end of the ring, and what a sweep has to find.
    for (let quiet = 0; quiet < QUIET_FETCHES; ) {
      const before = tally.closed;
      await Bun.sleep(QUIET_MS);
      await fetch();
      quiet = tally.closed === before ? quiet + 1 : 0;
    }
    const lossesAfter = await losses(portolan);
    return {
      client: { ...tally.client, truth: truth.client },
      server: { ...tally.server, truth: truth.server },
      repeated: tally.repeated,
      leftOpen: tally.open,
      closeLost: lossesAfter.closeLost - lossesBefore.closeLost,
      closeUntold: lossesAfter.closeUntold - lossesBefore.closeUntold,
      recursionMisses: lossesAfter.recursionMisses - lossesBefore.recursionMisses,
    };
  } finally {
    server.kill();
  }
}

async function losses(
  portolan: Portolan,
): Promise<Pick<LoadResult, "closeLost" | "closeUntold" | "recursionMisses">> {
  const { kernel = {} } = await portolan.stats();
  const { programs } = await portolan.status();
  const recursionMisses = programs.reduce((sum, program) => sum + program.recursionMisses, 0);
  const counter = (name: string): number => {
    const value = kernel[name];
    if (value === undefined) throw new Error(`/debug/stats has no kernel counter ${name}`);
    return value;
  };
  return {
    closeLost: counter("close_lost"),
    closeUntold: counter("close_untold"),
    recursionMisses,
  };
}

/** Books rows without keeping those that are done with. */
class Tally {
  readonly client = { closed: 0, sent: 0, received: 0, inexact: 0, wrongOwner: 0 };
  readonly server = { closed: 0, sent: 0, received: 0, inexact: 0, wrongOwner: 0 };
  repeated = 0;
  readonly #open = new Map<string, { sent: number; received: number }>();
  readonly #closed = new Set<string>();

  constructor(
    private readonly netns: number,
    private readonly serverPort: number,
    private readonly pids: { client: number; server: number },
  ) {}

  get open(): number {
    return this.#open.size;
  }

  get closed(): number {
    return this.#closed.size;
  }

  book(row: Connection): void {
    if (row.netNS !== this.netns || row.type !== "tcp") return;
    const isServer = row.laddr.port === this.serverPort;
    if (!isServer && row.raddr.port !== this.serverPort) return;
    if (this.#closed.has(row.cookie)) this.repeated++;
    const told = this.#open.get(row.cookie) ?? { sent: 0, received: 0 };
    told.sent += row.lastBytesSent;
    told.received += row.lastBytesReceived;
    if (!row.isClosed) {
      this.#open.set(row.cookie, told);
      return;
    }
    this.#open.delete(row.cookie);
    this.#closed.add(row.cookie);

    const clientPort = isServer ? row.raddr.port : row.laddr.port;
    const [request, reply] = [requestSize(clientPort), replySize(clientPort)];
    const [sent, received] = isServer ? [reply, request] : [request, reply];
    const side = isServer ? this.server : this.client;
    side.closed++;
    side.sent += told.sent;
    side.received += told.received;
    if (told.sent !== sent || told.received !== received) side.inexact++;
    if (row.pid !== (isServer ? this.pids.server : this.pids.client)) side.wrongOwner++;
  }
}
