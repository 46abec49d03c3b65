import { z } from "zod";
import { LISTEN_FORMS, type ListenAddress, parseListenAddress } from "./listen.ts";

/** Where the socket lives unless `PORTOLAN_RUNTIME_DIR` says otherwise. */
export const RUNTIME_DIR = "/run/portolan";

/** The listeners when none are configured, with the socket in `runtimeDir`. */
export function defaultListen(runtimeDir: string): string[] {
  return [`unix:${runtimeDir}/portolan.sock`, "127.0.0.1:7373"];
}

const listenAddress = z.string().transform((text, context): ListenAddress => {
  const address = parseListenAddress(text);
  if (address !== undefined) return address;
  context.addIssue({ code: "custom", message: `expected ${LISTEN_FORMS}` });
  return z.NEVER;
});

const path = z.string().min(1);
const seconds = z.int().min(1).max(86_400);
/** 4 Mi connections of 168 bytes are 700 MB, in the kernel and again in user space. */
const connections = z.int().min(1).max(4_194_304);
const MAX_RING_BYTES = 2 ** 30;
const isPowerOfTwo = (n: number) => Number.isInteger(Math.log2(n));

/**
 * Every key with its default and its documentation; parsing, `--help` and error messages derive from
 * it. Keys are flat, with a dot between group and name: one string names the key in the file
 * (`udp.timeout`), in the environment (`PORTOLAN_UDP_TIMEOUT`) and as a flag (`--udp-timeout`).
 *
 * The metadata: `placeholder` stands for the value in the help; `expected` says what is accepted where
 * the type and its bounds don't.
 */
export const configSchema = z.strictObject({
  listen: z.array(listenAddress).min(1).prefault(defaultListen(RUNTIME_DIR)).meta({
    description: "where to answer HTTP; PORTOLAN_RUNTIME_DIR moves the default socket",
    placeholder: "ADDRESS",
    expected: LISTEN_FORMS,
  }),
  attach: z.enum(["auto", "fentry", "kprobe", "tracepoint"]).default("auto").meta({
    description: "family of kernel hooks; auto takes the best that works",
    placeholder: "FAMILY",
  }),
  btf: path.optional().meta({
    description: "BTF of the running kernel, where it has no /sys/kernel/btf/vmlinux",
    placeholder: "FILE",
    expected: "the path of a file",
  }),
  libbpf: path.optional().meta({
    description: "libbpf.so.1 to use instead of the embedded one",
    placeholder: "FILE",
    expected: "the path of a file",
  }),
  "udp.enabled": z.boolean().default(true).meta({ description: "trace UDP" }),
  "udp.timeout": seconds.default(120).meta({
    description: "a UDP flow ends after this long without a datagram",
    placeholder: "SECONDS",
  }),
  connect_errors: z.boolean().default(false).meta({
    description:
      "report connects that fail before a packet leaves; costs a little on every syscall",
  }),
  max_tracked_connections: connections.default(65_536).meta({
    description: "open connections held in the kernel's map, and per client",
    placeholder: "COUNT",
  }),
  max_closed_connections: connections.default(65_536).meta({
    description: "closed connections kept until every client has fetched them",
    placeholder: "COUNT",
  }),
  client_expiry: seconds.default(120).meta({
    description: "a client is forgotten after this long without a fetch",
    placeholder: "SECONDS",
  }),
  ring_bytes: z
    .int()
    .min(4096)
    .max(MAX_RING_BYTES)
    .refine(isPowerOfTwo)
    .default(8_388_608)
    .meta({
      description: "size of the ring buffer for events",
      placeholder: "BYTES",
      expected: `a power of two from 4096 to ${MAX_RING_BYTES}`,
    }),
  log_level: z.enum(["debug", "info", "warn", "error"]).default("info").meta({
    description: "least severe level that is logged to stderr",
    placeholder: "LEVEL",
  }),
});

/** The whole configuration, parsed. */
export type Config = z.output<typeof configSchema>;
