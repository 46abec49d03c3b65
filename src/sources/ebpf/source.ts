/** Connections of the running kernel. */
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import type { BpfMap } from "../../../ffi/bpf_map.ts";
import type { BpfProgram } from "../../../ffi/bpf_program.ts";
import {
  closedEvent,
  config as configLayout,
  conn,
  eventKind,
  listener,
  udpSockState,
} from "../../../ffi/layout.gen.ts";
import { Libbpf } from "../../../ffi/libbpf.ts";
import { close, socket } from "../../../ffi/libc.ts";
import type { LibrarySource } from "../../../ffi/library.ts";
import { RingBuffer } from "../../../ffi/ring_buffer.ts";
import { PortolanError } from "../../model/errors.ts";
import type { Segment } from "../../model/segment.ts";
import type { CapabilityStatus, ProgramStatus, TableStatus } from "../../model/status.ts";
import type { ConnectionSource, RecordSpace, SourceSink } from "../source.ts";
import { ActiveReader } from "./active_reader.ts";
import { type CapabilityName, capabilities, type Family } from "./capabilities.ts";
import { CounterReader } from "./counters.ts";
import { dumpMap } from "./dump.ts";
import { climb, switchedOff } from "./ladder.ts";
import { countEntries, entries } from "./map_entries.ts";
import { explainRefusal, type KernelFacts } from "./refusal.ts";
import type { LoadContext, Rung } from "./rung.ts";

/** What a user may choose about tracing. */
export interface EbpfOptions {
  maxTrackedConnections: number;
  ringBytes: number;
  udp: boolean;
  udpTimeoutSeconds: number;
  connectErrors: boolean;
  attach: Family | "auto";
  btf?: string;
}

/** A kernel map of records, what brings it up to date, and how many entries that found. */
interface RecordTable {
  reader: ActiveReader;
  refresh: BpfProgram | undefined;
  expected: number;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;

/** First kernel whose on-demand hash maps don't allocate from the hook's context (bpf_mem_alloc). */
const ON_DEMAND_SINCE = [6, 1] as const;

export class EbpfSource implements ConnectionSource {
  readonly capabilities: CapabilityStatus[] = [];
  private readonly rungs = new Map<CapabilityName, Rung>();
  private readonly context: LoadContext;
  private readonly ring: RingBuffer;
  private readonly counterReader: CounterReader;
  private readonly recordTables: RecordTable[];
  private readonly walkProgram: BpfProgram | undefined;

  /**
   * Loads and attaches everything that this kernel allows.
   *
   * @throws NativeError when not even TCP connections can be traced
   */
  constructor(
    options: EbpfOptions,
    private readonly memory: RecordSpace,
    object: (name: string) => Uint8Array,
    libraries: LibrarySource,
  ) {
    const context: LoadContext = {
      libbpf: Libbpf.load(libraries),
      object,
      ...(options.btf !== undefined && { btfPath: options.btf }),
      capacities: {
        tcp_conns: options.maxTrackedConnections,
        udp_flows: options.maxTrackedConnections,
        events: options.ringBytes,
      },
      config: encodeConfig(options),
      onDemandMaps: kernelIsAtLeast(ON_DEMAND_SINCE),
      maps: new Map(),
    };
    this.context = context;
    try {
      this.attachAll(options);
      this.ring = new RingBuffer(this.map("events").fd, options.ringBytes);
      this.counterReader = new CounterReader(this.map("counters"));
      this.recordTables = [
        { map: context.maps.get("tcp_conns"), program: "refresh" },
        { map: context.maps.get("udp_flows"), program: "sweep" },
      ].flatMap(({ map, program }) => {
        if (map === undefined) return []; // UDP is off or refused
        const refresh = this.program("refresh", program);
        return { reader: new ActiveReader(memory, map), refresh, expected: 0 };
      });
      this.walkProgram = this.program("taskWalk", "task_walk");
      this.walk();
      this.refresh();
    } catch (error) {
      this.detachAll();
      throw error;
    }
  }

  drain(sink: SourceSink): number {
    const { data } = this.ring;
    const view = new DataView(data.buffer, data.byteOffset);
    return this.ring.drain((offset) => {
      if (view.getUint32(offset, true) === eventKind.EVENT_CLOSED) {
        sink.closed(data, offset + closedEvent.conn);
      } else {
        sink.process(data, offset);
      }
    });
  }

  refresh(): void {
    for (const table of this.recordTables) {
      table.expected = table.refresh?.testRun().retval ?? table.expected;
    }
  }

  readActive(): Segment[] {
    return this.recordTables.map(({ reader, expected }) => reader.read(expected));
  }

  /**
   * Looks at the files of every process: adopts sockets that were open before the start, and learns who
   * holds connections that were accepted.
   */
  walk(): void {
    if (this.walkProgram === undefined) return;
    const example = socket(AF_UNIX, SOCK_STREAM, 0);
    try {
      this.walkProgram.testRun([BigInt(example)]);
    } finally {
      close(example);
    }
  }

  ownerPids(): Set<number> {
    const pids = new Set<number>();
    const { buffer, byteOffset } = this.memory.bytes;
    for (const { offset, stride, count } of this.readActive()) {
      const records = new DataView(buffer, byteOffset + offset, count * stride);
      for (let i = 0; i < count; i++) pids.add(records.getUint32(i * stride + conn.pid, true));
    }
    const owners = [
      { map: this.context.maps.get("listeners"), field: listener.pid },
      { map: this.context.maps.get("udp_socks"), field: udpSockState.pid },
    ];
    for (const { map, field } of owners) {
      if (map === undefined) continue;
      for (const { value } of entries(map))
        pids.add(new DataView(value.buffer).getUint32(field, true));
    }
    return pids;
  }

  counters(): Record<string, number> {
    return this.counterReader.read();
  }

  programs(): ProgramStatus[] {
    return [...this.rungs.values()].flatMap((rung) =>
      rung.programs().map((program) => {
        const { id, runCount, runTimeNs, recursionMisses } = program.info();
        const meanNs = runCount === 0 ? 0 : Math.round(runTimeNs / runCount);
        return { name: program.name, id, runCount, meanNs, recursionMisses };
      }),
    );
  }

  tables(): TableStatus[] {
    return [...this.context.maps.values()].map((map) => ({
      name: map.name,
      entries: map === this.context.maps.get("events") ? this.ring.pending() : countEntries(map),
      capacity: map.maxEntries,
      bytes: map.info().memlock,
    }));
  }

  dump(names: readonly string[]): string {
    const chosen = names.length === 0 ? [...this.context.maps.keys()] : names;
    return chosen.map((name) => dumpMap(this.map(name))).join("\n");
  }

  close(): void {
    this.ring.close();
    this.detachAll();
  }

  private attachAll(options: EbpfOptions): void {
    const off: Partial<Record<CapabilityName, string>> = {};
    if (!options.udp) off.udp = off.udpDrops = "UDP is switched off";
    if (!options.connectErrors) off.connectErrors = "not switched on (--connect-errors)";
    for (const name of Object.keys(capabilities) as CapabilityName[]) {
      const capability = capabilities[name];
      const reason = off[name];
      if (reason !== undefined) {
        this.capabilities.push(switchedOff(capability, reason));
        continue;
      }
      const { status, rung, refusal } = climb(capability, this.context, options.attach);
      this.capabilities.push(status);
      if (rung !== undefined) this.rungs.set(name, rung);
      else if ("required" in capability) {
        throw refusal === undefined
          ? noWay(capability.name, options.attach)
          : explainRefusal(refusal, kernelFacts());
      }
    }
  }

  private detachAll(): void {
    for (const rung of this.rungs.values()) rung.close();
    this.rungs.clear();
  }

  private map(name: string): BpfMap {
    const map = this.context.maps.get(name);
    if (map === undefined) {
      const known = [...this.context.maps.keys()].join(", ");
      throw new PortolanError("find map", name, `the maps are ${known}`);
    }
    return map;
  }

  private program(capability: CapabilityName, name: string): BpfProgram | undefined {
    return this.rungs
      .get(capability)
      ?.programs()
      .find((program) => program.name === name);
  }
}

function encodeConfig(options: EbpfOptions): Uint8Array {
  const bytes = new Uint8Array(configLayout.size);
  const timeout = BigInt(options.udpTimeoutSeconds) * 1_000_000_000n;
  new DataView(bytes.buffer).setBigUint64(configLayout.udp_timeout_ns, timeout, true);
  return bytes;
}

function kernelIsAtLeast([major, minor]: readonly [number, number]): boolean {
  const [runningMajor = 0, runningMinor = 0] = release().split(".").map(Number.parseFloat);
  return runningMajor > major || (runningMajor === major && runningMinor >= minor);
}

function kernelFacts(): KernelFacts {
  const lockdown = "/sys/kernel/security/lockdown";
  return {
    hasBtf: existsSync("/sys/kernel/btf/vmlinux"),
    lockdown: existsSync(lockdown) ? readFileSync(lockdown, "utf8") : "",
  };
}

function noWay(capability: string, family: string): PortolanError {
  return new PortolanError("attach", capability, `it has no rung of the family ${family}`);
}
