/** What the tracer can do, and the ways to attach each, best first. */
import { readFileSync } from "node:fs";
import { NativeError } from "../../../ffi/errors.ts";
import { close } from "../../../ffi/libc.ts";
import { openFilesystem } from "../../../ffi/mount.ts";
import { openTracepoint } from "../../../ffi/perf_event.ts";
import type { Rung } from "./rung.ts";

/** Attach family that `--attach` may force. */
export type Family = "fentry" | "kprobe" | "tracepoint";

/** One way to attach a capability. */
export interface Way {
  name: string;
  family: Family;
  /** @throws NativeError when the kernel refuses */
  start(rung: Rung): void;
}

export interface Capability {
  name: string;
  summary: string;
  /** Without it there is nothing to trace. */
  required?: true;
  ways: readonly Way[];
  /** What the user can do when no way works. */
  advice: string;
}

function raw(object: string): Way {
  return {
    name: "tracepoint",
    family: "tracepoint",
    start: (rung) => rung.attachAll(rung.load(object)),
  };
}

const cgroupSkb: Way = {
  name: "cgroup",
  family: "tracepoint",
  start(rung) {
    const cgroup = rung.keep(openFilesystem("cgroup2"));
    rung.attachAllToCgroup(rung.load("udp"), cgroup);
  },
};

/** Attached by perf event: libbpf looks for tracefs in fixed places only, and it may not be mounted. */
const exitConnect: Way = {
  name: "tracepoint",
  family: "tracepoint",
  start(rung) {
    const program = rung.load("connect_errors").program("connect_failed");
    const event = openTracepoint(tracepointId("syscalls/sys_exit_connect"));
    try {
      program.attachPerfEvent(event);
    } catch (error) {
      close(event);
      throw error;
    }
  },
};

function tracepointId(name: string): number {
  const tracefs = openFilesystem("tracefs");
  try {
    return Number(readFileSync(`/proc/self/fd/${tracefs}/events/${name}/id`, "utf8"));
  } catch {
    throw new NativeError(
      "find tracepoint",
      name,
      "the kernel has none of that name (no CONFIG_FTRACE_SYSCALLS?)",
    );
  } finally {
    close(tracefs);
  }
}

/** Loaded only; run by `BPF_PROG_TEST_RUN` when it is needed. */
function onDemand(object: string, name: string): Way {
  return { name, family: "tracepoint", start: (rung) => void rung.load(object) };
}

/** In the order in which they are attached: hooks before what looks at the past. */
export const capabilities = {
  tcpLife: {
    name: "tcp_life",
    summary: "TCP connections from connect or accept to close, bytes, segments, RTT, failures",
    required: true,
    ways: [raw("tcp_life")],
    advice: "needs root or CAP_BPF and CAP_PERFMON, kernel 5.10 or later, and BTF (--btf FILE)",
  },
  refresh: {
    name: "refresh",
    summary: "counters of connections that are still open",
    ways: [onDemand("refresh", "for_each")],
    advice: "needs bpf_for_each_map_elem, kernel 5.13; until then counters are told at close",
  },
  udp: {
    name: "udp",
    summary: "UDP datagrams and bytes by peer",
    ways: [cgroupSkb],
    advice: "needs cgroup v2 in the kernel and CAP_NET_ADMIN",
  },
  udpDrops: {
    name: "udp_drops",
    summary: "UDP datagrams refused for lack of receive buffer, subtracted from what was received",
    ways: [raw("udp_drops")],
    advice: "needs kernel 6.10; until then refused datagrams count as received",
  },
  processes: {
    name: "processes",
    summary:
      "name, program, parent and user of processes, also of those that live for milliseconds",
    ways: [raw("processes")],
    advice: "without it only processes that are alive when asked for have a description",
  },
  taskWalk: {
    name: "task_walk",
    summary: "sockets that were open before the start, and holders of accepted connections",
    ways: [onDemand("task_walk", "task_walk")],
    advice: "needs bpf_loop, kernel 5.17; until then such sockets appear with their first event",
  },
  connectErrors: {
    name: "connect_errors",
    summary: "connect() calls that fail before a packet is sent, such as ENETUNREACH",
    ways: [exitConnect],
    advice: "switch on with --connect-errors; it slows every system call of the host a little",
  },
} as const satisfies Record<string, Capability>;

export type CapabilityName = keyof typeof capabilities;
