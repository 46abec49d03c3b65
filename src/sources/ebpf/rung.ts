/** One attempt to attach a capability: what it loaded and attached, to be undone as a whole. */
import type { BpfMap } from "../../../ffi/bpf_map.ts";
import type { BpfObject } from "../../../ffi/bpf_object.ts";
import type { BpfProgram } from "../../../ffi/bpf_program.ts";
import type { Libbpf } from "../../../ffi/libbpf.ts";
import { close } from "../../../ffi/libc.ts";

/** What every attempt shares. */
export interface LoadContext {
  libbpf: Libbpf;
  /** The compiled object `bpf/NAME.bpf.o`. */
  object(name: string): Uint8Array;
  /** BTF of the kernel, for kernels without /sys/kernel/btf/vmlinux. */
  btfPath?: string;
  /** Entries by map name, where they differ from bpf/maps.h. */
  capacities: Readonly<Record<string, number>>;
  /** Contents of `.rodata.config`: a `struct config`. */
  config: Uint8Array;
  /** BPF_F_NO_PREALLOC for the big hashes: their memory then follows their use. */
  onDemandMaps: boolean;
  /** Maps that exist already; objects that name them share them. */
  maps: Map<string, BpfMap>;
}

const BPF_F_NO_PREALLOC = 1;
const ON_DEMAND = new Set(["tcp_conns", "udp_flows", "udp_socks", "listeners"]);

export class Rung {
  private readonly objects: BpfObject[] = [];
  private readonly descriptors: number[] = [];
  private readonly created: string[] = [];

  constructor(readonly context: LoadContext) {}

  /**
   * Loads an object with all its programs. The first object that names a map creates it.
   *
   * @throws NativeError with the end of the verifier's log
   */
  load(name: string): BpfObject {
    const { libbpf, btfPath, maps } = this.context;
    const object = libbpf.openObject(
      name,
      this.context.object(name),
      btfPath === undefined ? {} : { btfPath },
    );
    this.objects.push(object);
    for (const map of object.maps()) this.prepare(map);
    object.load();
    for (const map of object.maps()) {
      if (map.name.startsWith(".") || maps.has(map.name)) continue;
      maps.set(map.name, map);
      this.created.push(map.name);
    }
    return object;
  }

  /** Attaches every program of the object by what its section says. */
  attachAll(object: BpfObject): void {
    for (const program of object.programs()) program.attach();
  }

  /** Attaches every program of the object to a cgroup. */
  attachAllToCgroup(object: BpfObject, cgroup: number): void {
    for (const program of object.programs()) program.attachCgroup(cgroup);
  }

  /** Closes the descriptor together with the rung. */
  keep(descriptor: number): number {
    this.descriptors.push(descriptor);
    return descriptor;
  }

  /** Every program that this attempt loaded. */
  programs(): BpfProgram[] {
    return this.objects.flatMap((object) => object.programs());
  }

  /** Detaches and unloads everything. */
  close(): void {
    for (const object of this.objects) object.close();
    for (const descriptor of this.descriptors) close(descriptor);
    for (const name of this.created) this.context.maps.delete(name);
  }

  private prepare(map: BpfMap): void {
    if (map.name === ".rodata.config") {
      map.initialValue().set(this.context.config);
      return;
    }
    const shared = this.context.maps.get(map.name);
    if (shared !== undefined) {
      map.reuseFd(shared.fd);
      return;
    }
    const capacity = this.context.capacities[map.name];
    if (capacity !== undefined) map.setMaxEntries(capacity);
    if (this.context.onDemandMaps && ON_DEMAND.has(map.name)) map.setFlags(BPF_F_NO_PREALLOC);
  }
}
