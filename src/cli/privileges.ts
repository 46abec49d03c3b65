import { readFileSync } from "node:fs";
import { PortolanError } from "../model/errors.ts";

/** Numbers of capabilities, include/uapi/linux/capability.h. */
const CAP_SYS_ADMIN = 21n;
/** Each of them is part of CAP_SYS_ADMIN as far as BPF is concerned (CAP_BPF since Linux 5.8). */
const NEEDED = [
  ["CAP_BPF", 39n],
  ["CAP_PERFMON", 38n],
  ["CAP_NET_ADMIN", 12n],
] as const;

/** The capabilities that tracing needs and `status`, the text of /proc/self/status, doesn't grant. */
export function missingCapabilities(status: string): string[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const has = (capability: bigint) => ((effective >> capability) & 1n) === 1n;
  if (has(CAP_SYS_ADMIN)) return [];
  return NEEDED.filter(([, number]) => !has(number)).map(([name]) => name);
}

/**
 * Refuses to go on without the capabilities that tracing needs.
 *
 * @throws PortolanError that names what is missing.
 */
export function requirePrivileges(): void {
  const missing = missingCapabilities(readFileSync("/proc/self/status", "utf8"));
  if (missing.length === 0) return;
  throw new PortolanError(
    "trace",
    "this host",
    `missing ${missing.join(", ")}: run it as root, for example with sudo`,
  );
}
