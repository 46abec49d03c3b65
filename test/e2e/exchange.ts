/** TCP connections over loopback, both of whose ends are in this process, with known byte counts. */
import { statSync } from "node:fs";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import type { Ledger, Tuple } from "../integration/ledger.ts";

const HOST = "127.0.0.1";
const TIMEOUT_MS = 10_000;

/** What a client learns of one end of a connection, all of its fetches together. */
export interface Told {
  pid: number;
  direction: string;
  bytesSent: number;
  bytesReceived: number;
  timesClosed: number;
}

/** Waits until it is true; throws when it takes too long. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${TIMEOUT_MS} ms: ${what}`);
    await Bun.sleep(5);
  }
}

/** Listens on a port of loopback, for exchanges. */
export class ExchangeServer {
  readonly #accepted = new Map<number, Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {
    server.on("connection", (socket) => this.#accepted.set(socket.remotePort ?? 0, socket));
  }

  static async listen(): Promise<ExchangeServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, HOST, 4096, resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port to listen on");
    return new ExchangeServer(server, address.port);
  }

  /** Opens a connection to itself. */
  async open(): Promise<Exchange> {
    const client = dial(this.port, HOST);
    await new Promise((resolve, reject) => {
      client.once("connect", resolve);
      client.once("error", reject);
    });
    const port = client.localPort ?? 0;
    await until("a connection is accepted", () => this.#accepted.has(port));
    const server = this.#accepted.get(port);
    this.#accepted.delete(port);
    if (server === undefined) throw new Error(`nothing was accepted from port ${port}`);
    return new Exchange(client, server, port, this.port);
  }

  /** Listens no longer; what is open stays open. */
  close(): void {
    this.server.close();
  }
}

/** One connection. */
export class Exchange {
  #fromClient = 0;
  #fromServer = 0;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly clientPort: number,
    private readonly serverPort: number,
  ) {
    for (const socket of [client, server]) socket.resume();
  }

  /** Sends this many bytes each way and waits until they have arrived. */
  async transfer(fromClient: number, fromServer: number): Promise<void> {
    this.#fromClient += fromClient;
    this.#fromServer += fromServer;
    if (fromClient > 0) this.client.write(new Uint8Array(fromClient));
    if (fromServer > 0) this.server.write(new Uint8Array(fromServer));
    await until("loopback traffic arrives", () => {
      const { client, server } = this;
      return server.bytesRead === this.#fromClient && client.bytesRead === this.#fromServer;
    });
  }

  /** Closes both ends. */
  async close(): Promise<void> {
    const closed = [this.client, this.server].map(
      (socket) => new Promise((resolve) => socket.once("close", resolve)),
    );
    this.client.end();
    await Promise.all(closed);
  }

  /** What a client must have been told of the client's and of the server's end by now. */
  wanted(timesClosed: 0 | 1): Told[] {
    const [fromClient, fromServer] = [this.#fromClient, this.#fromServer];
    return [
      {
        ...{ pid: process.pid, direction: "outgoing", timesClosed },
        ...{ bytesSent: fromClient, bytesReceived: fromServer },
      },
      {
        ...{ pid: process.pid, direction: "incoming", timesClosed },
        ...{ bytesSent: fromServer, bytesReceived: fromClient },
      },
    ];
  }

  /** What it was told of them. */
  told(ledger: Ledger): Told[] {
    return this.tuples.flatMap((tuple) =>
      ledger.find(tuple).map(({ row: { pid, direction }, sums, timesClosed }) => {
        const { bytesSent, bytesReceived } = sums;
        return { pid, direction, bytesSent, bytesReceived, timesClosed };
      }),
    );
  }

  /** Asks until all has been told, or for so long that it won't be any more. */
  async settle(ledger: Ledger, timesClosed: 0 | 1): Promise<Told[]> {
    const wanted = this.wanted(timesClosed);
    await ledger.collect(() => Bun.deepEquals(this.told(ledger), wanted), 3_000);
    return this.told(ledger);
  }

  /** The two ends, the client's first. */
  get tuples(): [Tuple, Tuple] {
    const common = {
      ...{ type: "tcp", netns: statSync("/proc/self/ns/net").ino },
      ...{ laddr: HOST, raddr: HOST },
    };
    return [
      { ...common, lport: this.clientPort, rport: this.serverPort },
      { ...common, lport: this.serverPort, rport: this.clientPort },
    ];
  }
}

/** Opens a connection, moves bytes both ways and closes it. */
export async function exchangeOnce(fromClient: number, fromServer: number): Promise<Exchange> {
  const server = await ExchangeServer.listen();
  const exchange = await server.open();
  await exchange.transfer(fromClient, fromServer);
  await exchange.close();
  server.close();
  return exchange;
}

/** A port that nobody listens on now. */
export function freePort(): number {
  const server = Bun.listen({ hostname: HOST, port: 0, socket: { data() {} } });
  server.stop();
  return server.port;
}
