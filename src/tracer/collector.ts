/**
 * Everything that the collector worker does, without the worker: one pass per request from the kernel's
 * maps to encoded bytes, and the housekeeping in between. One document at a time; while it is made the
 * ring may be drained, and nothing else be done.
 */
import { release } from "node:os";
import { conn } from "../../ffi/layout.gen.ts";
import { monotonicNow } from "../../ffi/libc.ts";
import { PortolanError } from "../model/errors.ts";
import type { TracerStatus } from "../model/status.ts";
import type { ProcessCache } from "../processes/cache.ts";
import type { EbpfSource } from "../sources/ebpf/source.ts";
import type { SourceSink } from "../sources/source.ts";
import type { ConnectionState } from "../state/connection_state.ts";
import type { DocumentEncoder } from "../state/document.ts";
import { VERSION } from "../version.ts";
import type { RowFormat } from "./protocol.ts";
import { WalkBudget } from "./walk_budget.ts";

/** The parts that a collector brings together; whoever made them closes them. */
export interface CollectorParts {
  source: EbpfSource;
  state: ConnectionState;
  encoder: DocumentEncoder;
  processes: ProcessCache;
}

export class Collector {
  private readonly walkBudget = new WalkBudget();
  private readonly startedAt = Date.now();
  private readonly sink: SourceSink;
  /** Entries that the last read found in the kernel's maps. */
  private activeCount = 0;
  /** Closed connections that there was no memory to keep. */
  private closedUntold = 0;

  constructor(private readonly parts: CollectorParts) {
    const { state, processes } = parts;
    this.sink = {
      closed: (bytes, offset) => {
        const pid = new DataView(bytes.buffer, bytes.byteOffset + offset).getUint32(conn.pid, true);
        try {
          // Now, while the pid is still this process's or was a moment ago.
          state.storeClosed(bytes, offset, processes.resolve(pid));
        } catch (error) {
          if (!(error instanceof PortolanError)) throw error;
          this.closedUntold++; // the record memory is full
        }
      },
      process: (bytes, offset) => processes.onEvent(bytes, offset),
    };
  }

  /** Describes the owners of what was open before the start, while they are still there to ask. */
  describeOwners(): void {
    for (const pid of this.parts.source.ownerPids()) this.parts.processes.resolve(pid);
  }

  /** Takes what the kernel has told since the last time; false when that was nothing. */
  drain(): boolean {
    return this.parts.source.drain(this.sink) > 0;
  }

  /** With no client asking, flows that fell silent must still leave the kernel's maps. */
  refresh(): void {
    this.parts.source.refresh();
    this.drain();
  }

  /** Forgets clients and processes whose time is over. */
  expire(): void {
    this.parts.state.expireClients(monotonicNow());
    this.parts.processes.expire();
  }

  register(clientId: string): void {
    this.parts.state.register(clientId, monotonicNow());
  }

  /**
   * The `Connections` document of what changed for this client, in parts. It counts as told when the last
   * part has been asked for; left before, all of it is told by the next call.
   */
  *connections(clientId: string, format: RowFormat): Generator<ArrayBuffer> {
    const { state, encoder } = this.parts;
    const segments = this.readActive();
    const now = monotonicNow();
    using delta = state.delta(clientId, segments, now);
    const envelope = { clientId, latestTime: now, telemetry: this.telemetry() };
    yield* encoder.encode(delta, format, envelope, this.resolve);
    delta.commit();
  }

  /** The `Connections` document of all that is in the kernel's maps; no client learns of it. */
  *netMaps(format: RowFormat): Generator<ArrayBuffer> {
    const { state, encoder } = this.parts;
    using rows = state.snapshot(this.readActive());
    const envelope = { clientId: "", latestTime: monotonicNow(), telemetry: this.telemetry() };
    yield* encoder.encode(rows, format, envelope, this.resolve);
  }

  netState(clientId: string): Record<string, unknown> | undefined {
    return this.parts.state.netState(clientId);
  }

  status(): TracerStatus {
    const { source, state, processes } = this.parts;
    const { entries, capacity } = processes.stats();
    return {
      version: VERSION,
      kernel: release(),
      startedAt: this.startedAt,
      capabilities: source.capabilities,
      programs: source.programs(),
      tables: [...source.tables(), ...state.tables(), { name: "processes", entries, capacity }],
    };
  }

  stats(): Record<string, Record<string, number>> {
    const { source, state, processes } = this.parts;
    return {
      kernel: source.counters(),
      state: { ...state.stats(), closed_untold: this.closedUntold },
      processes: { ...processes.stats() },
    };
  }

  processCache(): unknown[] {
    return this.parts.processes.dump();
  }

  dumpMaps(names: readonly string[]): string {
    return this.parts.source.dump(names);
  }

  private readonly resolve = (pid: number): number => this.parts.processes.resolve(pid);

  /** Closed connections first: what ends while the maps are read is told by the next fetch. */
  private readActive() {
    const { source } = this.parts;
    const { accepted = 0 } = source.counters();
    if (this.walkBudget.isDue(accepted)) this.walkBudget.spend(accepted, () => source.walk());
    source.refresh();
    this.drain();
    const segments = source.readActive();
    this.activeCount = segments.reduce((sum, { count }) => sum + count, 0);
    return segments;
  }

  private telemetry(): Record<string, number> {
    const counters = this.parts.source.counters();
    const { close_untold = 0, close_lost = 0, tcp_map_full = 0, udp_map_full = 0 } = counters;
    return {
      perf_lost: close_untold + this.closedUntold,
      close_lost,
      tcp_map_full,
      udp_map_full,
      conns_bpf_map_size: this.activeCount,
    };
  }
}
