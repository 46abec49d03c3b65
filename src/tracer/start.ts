/** Makes the parts of a collector from its configuration. */
import { readFileSync } from "node:fs";
import { bpfObject, sharedLibraries, wasmModule } from "../assets.ts";
import { ProcessCache } from "../processes/cache.ts";
import { EbpfSource } from "../sources/ebpf/source.ts";
import { ConnectionState } from "../state/connection_state.ts";
import { DocumentEncoder, type PortRange } from "../state/document.ts";
import { loadKernels } from "../wasm/kernels.ts";
import { RecordMemory } from "../wasm/memory.ts";
import { Collector } from "./collector.ts";
import type { CollectorConfig } from "./protocol.ts";

/** What Linux ships with; see ip-sysctl. */
const DEFAULT_PORT_RANGE: PortRange = { first: 32768, last: 60999 };
const NS_PER_SECOND = 1_000_000_000n;

/**
 * Loads and attaches the kernel programs and returns a collector that is ready to answer.
 *
 * @throws NativeError or PortolanError when tracing is impossible; nothing stays attached then
 */
export function startCollector(config: CollectorConfig): { collector: Collector; close(): void } {
  const memory = new RecordMemory();
  const kernels = loadKernels(wasmModule("state"), memory);
  const state = new ConnectionState({
    memory,
    kernels,
    maxTracked: config.maxTrackedConnections,
    maxClosed: config.maxClosedConnections,
    clientExpiry: BigInt(config.clientExpirySeconds) * NS_PER_SECOND,
  });
  const bootedAt = bootTime();
  const processes = new ProcessCache({
    put(id, { comm, exe, ppid, uid, startTime }) {
      const started = Math.round(bootedAt + startTime / 1e6);
      state.processes.put(id, { comm, exe, ppid, uid, startTime: started });
    },
    remove: (id) => state.processes.remove(id),
  });
  const source = new EbpfSource(
    config,
    memory,
    // Programs with kernel type ids in them fit the running kernel's own BTF only: PLAIN_READS of bpf/kernel.h.
    (name) => bpfObject(config.btf === undefined ? name : `${name}.plain`),
    config.libbpf === undefined ? { libraries: sharedLibraries() } : { path: config.libbpf },
  );
  const encoder = new DocumentEncoder(memory, kernels, state.processes, ephemeralPorts());
  const collector = new Collector({ source, state, encoder, processes });
  collector.describeOwners();
  return { collector, close: () => source.close() };
}

/** Milliseconds of the Unix epoch at which the machine booted. */
function bootTime(): number {
  const uptime = Number.parseFloat(readFileSync("/proc/uptime", "utf8"));
  return Date.now() - uptime * 1000;
}

function ephemeralPorts(): PortRange {
  const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const [first, last] = text.trim().split(/\s+/).map(Number);
  return first === undefined || last === undefined ? DEFAULT_PORT_RANGE : { first, last };
}
