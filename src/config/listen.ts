import { isIP } from "node:net";

/** Where to listen: a path in the file system, or an IP address (without brackets) and a port. */
export type ListenAddress = { unix: string } | { hostname: string; port: number };

/** What `parseListenAddress` accepts, for error messages. */
export const LISTEN_FORMS = "unix:/PATH or ADDRESS:PORT with an IP address, IPv6 in brackets";

/** sun_path holds 108 bytes, the last of which is the terminating NUL (unix(7)). */
const MAX_UNIX_PATH_BYTES = 107;

/**
 * Reads `unix:/PATH`, `127.0.0.1:7373` or `[::1]:7373`; undefined when it is none of them. Host names
 * are refused: what they resolve to may change, and may be more than one address.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    const usable = path.startsWith("/") && !path.endsWith("/") && !path.includes("\0");
    return usable && Buffer.byteLength(path) <= MAX_UNIX_PATH_BYTES ? { unix: path } : undefined;
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const [v6, v4, port] = [match?.[1], match?.[2], Number(match?.[3])];
  const hostname = v6 !== undefined && isIP(v6) === 6 ? v6 : v4;
  if (hostname === undefined || isIP(hostname) === 0 || port > 65535) return undefined;
  return { hostname, port };
}
