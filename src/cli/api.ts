import type { Config } from "../config/schema.ts";
import { codeOf } from "../http/unix_socket.ts";
import { PortolanError } from "../model/errors.ts";

/**
 * Asks for a path of the HTTP interface.
 *
 * @throws PortolanError unless the answer is a good one.
 */
export type Ask = (path: string) => Promise<Response>;

/** Nobody answers where a running Portolan would. */
export class NotRunningError extends PortolanError {
  override readonly name = "NotRunningError";

  constructor(socket: string) {
    super("ask", `unix:${socket}`, "no Portolan is running there, start one with: portolan run");
  }
}

/**
 * How to ask the Portolan that listens on the configuration's first unix socket. TCP is left out: its
 * requests would follow the environment's proxy settings.
 */
export function askRunning(listen: Config["listen"]): Ask {
  const address = listen.find((candidate) => "unix" in candidate);
  if (address === undefined) {
    throw new PortolanError("ask", "a running Portolan", "no unix socket among the listeners");
  }
  return async (path) => checked(await fetchUnix(address.unix, path));
}

/** The answer, if it is a good one; otherwise throws what its problem document says. */
export async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const text = await response.text();
  const isProblem = response.headers.get("Content-Type") === "application/problem+json";
  const reason = isProblem ? (JSON.parse(text) as { detail: string }).detail : text;
  throw new PortolanError("ask", "the running Portolan", `${response.status}: ${reason}`);
}

async function fetchUnix(socket: string, path: string): Promise<Response> {
  try {
    return await fetch(`http://portolan${path}`, { unix: socket });
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ECONNREFUSED") throw new NotRunningError(socket);
    const reason = code === "EACCES" ? "no permission to use the socket" : String(error);
    throw new PortolanError("ask", `unix:${socket}`, reason);
  }
}
