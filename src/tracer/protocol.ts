/** The messages between the main thread and the collector worker. */
import type { TracerStatus } from "../model/status.ts";

export type { CapabilityStatus, RungStatus, TableStatus, TracerStatus } from "../model/status.ts";

/** Row formats in which the collector can encode a `Connections` document. */
export type RowFormat = "json" | "msgpack";

/** Every question that the main thread may ask, with its arguments. */
export type CollectorQuestion =
  | { type: "connections"; clientId: string; format: RowFormat }
  | { type: "netMaps"; format: RowFormat }
  | { type: "register"; clientId: string }
  | { type: "netState"; clientId: string }
  | { type: "status" }
  | { type: "stats" }
  | { type: "processCache" }
  | { type: "ebpfMaps"; maps: string[] }
  | { type: "stop" };

/** A question on its way; answers carry the same `id`. */
export type CollectorRequest = CollectorQuestion & { id: number };

/** The reader of an answer in chunks: has taken one more, or wants no more. */
export type CollectorSignal = { type: "taken"; id: number } | { type: "cancel"; id: number };

/** The first message to the worker; `CollectorRequest`s follow. */
export interface CollectorStart {
  type: "start";
  config: CollectorConfig;
}

/**
 * - `chunk`: a part of an encoded document, transferred; the last one is followed by `done`.
 * - `value`: a whole answer as a structured clone.
 */
export type CollectorReply =
  | { type: "ready"; status: TracerStatus }
  | { type: "failed"; message: string; detail?: string }
  | { type: "heartbeat"; at: number }
  | { id: number; type: "chunk"; bytes: ArrayBuffer }
  | { id: number; type: "done" }
  | { id: number; type: "value"; value: unknown }
  | {
      id: number;
      type: "error";
      operation: string;
      object: string;
      reason: string;
      errno?: number;
    };

/** What the collector is started with: the part of the configuration that concerns tracing. */
export interface CollectorConfig {
  maxTrackedConnections: number;
  maxClosedConnections: number;
  clientExpirySeconds: number;
  ringBytes: number;
  udp: boolean;
  udpTimeoutSeconds: number;
  connectErrors: boolean;
  attach: "auto" | "fentry" | "kprobe" | "tracepoint";
  /** Path of a BTF file for kernels without /sys/kernel/btf/vmlinux. */
  btf?: string;
  /** Path of another libbpf.so.1 than the embedded one. */
  libbpf?: string;
}
