import http from "node:http";
import { PortolanError } from "../model/errors.ts";
import { claimPath, codeOf, withSocketMode } from "./unix_socket.ts";

/** Where to listen: an absolute path, or an IP address (without brackets) and a port. */
export type Address = { unix: string } | { hostname: string; port: number };

type Fetch = (request: Request) => Response | Promise<Response>;

/** An open listener. */
export interface Listener {
  /** Where it answers: `http://127.0.0.1:7373` or `unix:/run/portolan/portolan.sock`. */
  url: string;
  /** Answers what is under way, for a short time, closes all connections and removes the socket. */
  stop(): Promise<void>;
}

/**
 * A TCP client that neither sends nor reads for this long is dropped, in seconds; it is longer than
 * the collector may take for an answer. On unix sockets Bun would cut a slow answer short by it
 * (oven-sh/bun#43816), so there is none.
 */
const TCP_IDLE_SECONDS = 60;
/** Nothing here has a request body. */
const MAX_REQUEST_BODY_BYTES = 65_536;
/**
 * Bun answers 431 to longer headers and hangs up on what is still being sent, by which a client may
 * miss the answer. Below this they reach us, and get a problem document.
 */
Object.assign(http, { maxHeaderSize: 2 * 1024 * 1024 });
/** How long answers under way may take when the process is told to stop. */
const STOP_MS = 1_000;

/**
 * Opens all of the listeners, or none.
 *
 * @throws PortolanError that names the address which can't be had.
 */
export async function openListeners(
  addresses: readonly Address[],
  fetch: Fetch,
): Promise<Listener[]> {
  const listeners: Listener[] = [];
  try {
    for (const address of addresses) listeners.push(await openListener(address, fetch));
    return listeners;
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.stop()));
    throw error;
  }
}

async function openListener(address: Address, fetch: Fetch): Promise<Listener> {
  const common = { fetch, development: false, maxRequestBodySize: MAX_REQUEST_BODY_BYTES };
  if ("hostname" in address) {
    const { hostname, port } = address;
    // Outside of development Bun would share the port with whoever else asks for it.
    const options = { ...common, hostname, port, reusePort: false, idleTimeout: TCP_IDLE_SECONDS };
    const server = bind(address, () => Bun.serve(options));
    return { url: server.url.origin, stop: () => stopServer(server) };
  }
  const giveBack = await claimPath(address.unix);
  try {
    // Bun's types have no idleTimeout for unix sockets, but its default of 10 s applies to them.
    const options = { ...common, unix: address.unix, idleTimeout: 0 } as object;
    const server = bind(address, () =>
      withSocketMode(() => Bun.serve(options as Bun.Serve.Options<undefined>)),
    );
    const stop = async () => {
      await stopServer(server);
      giveBack();
    };
    return { url: describe(address), stop };
  } catch (error) {
    giveBack();
    throw error;
  }
}

function bind<T>(address: Address, serve: () => T): T {
  try {
    return serve();
  } catch (error) {
    const reasons: Record<string, string> = {
      EADDRINUSE: "the address is taken by another process",
      EADDRNOTAVAIL: "this host has no such address",
      EACCES: "no permission",
    };
    const reason = reasons[codeOf(error) ?? ""] ?? String(error);
    throw new PortolanError("listen on", describe(address), reason);
  }
}

async function stopServer(server: Bun.Server<undefined>): Promise<void> {
  await Promise.race([server.stop(), Bun.sleep(STOP_MS)]);
  await server.stop(true);
}

/** The address as it is written in the configuration. */
export function describe(address: Address): string {
  if ("unix" in address) return `unix:${address.unix}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${host}:${address.port}`;
}
