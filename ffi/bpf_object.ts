import type { Pointer } from "bun:ffi";
import { BpfMap } from "./bpf_map.ts";
import { BpfProgram } from "./bpf_program.ts";
import { NativeError } from "./errors.ts";
import type { Libbpf } from "./libbpf.ts";
import { addressOf, toAddress, toPointer } from "./pointer.ts";

/** How to open a BPF object. */
export interface OpenOptions {
  /** BTF of the kernel for CO-RE relocations, where /sys/kernel/btf/vmlinux is missing. */
  btfPath?: string;
  /** Verifier log level (1, 2; plus 4 for statistics); its log goes to `Libbpf.lastLog`. */
  logLevel?: number;
}

/** How far an object has come. Its programs and maps look at it, as libbpf frees them with it. */
export interface ObjectState {
  stage: "opened" | "loaded" | "closed";
}

/** struct bpf_object_open_opts since libbpf 1.0: its size and the fields we set, in bytes. */
const OPTIONS_SIZE = 80;
const OBJECT_NAME = 8;
const BTF_CUSTOM_PATH = 48;
const KERNEL_LOG_LEVEL = 72;

/** A compiled BPF object: opened, adjusted, loaded into the kernel, closed. */
export class BpfObject {
  readonly #libbpf: Libbpf;
  readonly #object: Pointer;
  readonly #options: OpenOptions;
  readonly #state: ObjectState = { stage: "opened" };
  readonly #programs: readonly BpfProgram[];
  readonly #maps: readonly BpfMap[];

  private constructor(
    libbpf: Libbpf,
    readonly name: string,
    object: Pointer,
    options: OpenOptions,
  ) {
    this.#libbpf = libbpf;
    this.#object = object;
    this.#options = options;
    const { bpf_object__next_program, bpf_object__next_map } = libbpf.symbols;
    this.#programs = this.#members(bpf_object__next_program).map(
      (program) => new BpfProgram(libbpf, program, this.#state),
    );
    this.#maps = this.#members(bpf_object__next_map).map(
      (map) => new BpfMap(libbpf, map, this.#state),
    );
  }

  /** Use Libbpf.openObject. */
  static open(libbpf: Libbpf, name: string, bytes: Uint8Array, options: OpenOptions): BpfObject {
    if (bytes.byteLength === 0) throw new NativeError("open BPF object", name, "it is empty");
    const packed = packOptions(name, options);
    const address = libbpf.withLog(isVerbose(options), () =>
      libbpf.checkPointer("open BPF object", name, () =>
        libbpf.symbols.bpf_object__open_mem(bytes, bytes.byteLength, packed),
      ),
    );
    return new BpfObject(libbpf, name, toPointer(address), options);
  }

  #members(next: (object: Pointer, previous: Pointer | null) => Pointer | bigint | null) {
    const members: Pointer[] = [];
    for (;;) {
      const address = toAddress(next(this.#object, members.at(-1) ?? null));
      if (address === 0) return members;
      members.push(toPointer(address));
    }
  }

  /** All programs, in the order of the object file. */
  programs(): readonly BpfProgram[] {
    return this.#programs;
  }

  /** @throws NativeError when the object has no such program */
  program(name: string): BpfProgram {
    return this.#named("program", name, this.#programs);
  }

  /** All maps, those of global data (`.rodata`, `.bss`, …) included. */
  maps(): readonly BpfMap[] {
    return this.#maps;
  }

  /** @throws NativeError when the object has no such map */
  map(name: string): BpfMap {
    return this.#named("map", name, this.#maps);
  }

  #named<Member extends { name: string }>(kind: string, name: string, members: readonly Member[]) {
    const member = members.find((candidate) => candidate.name === name);
    if (!member) throw new NativeError(`find BPF ${kind}`, name, `not in object ${this.name}`);
    return member;
  }

  /**
   * Creates the maps, and verifies and loads the programs that were not switched off.
   *
   * @throws NativeError with the errno; its detail has libbpf's warnings and the last 20 lines of the
   *   verifier's log. The object can only be closed then.
   */
  load(): void {
    const { btfPath } = this.#options;
    const label = btfPath === undefined ? this.name : `${this.name} with BTF of ${btfPath}`;
    this.#libbpf.withLog(isVerbose(this.#options), () =>
      this.#libbpf.check("load BPF object", label, () =>
        this.#libbpf.symbols.bpf_object__load(this.#object),
      ),
    );
    this.#state.stage = "loaded";
  }

  /** Detaches what is still attached and releases everything; harmless when done before. */
  close(): void {
    if (this.#state.stage === "closed") return;
    try {
      for (const program of this.#programs) program.detach();
    } finally {
      this.#state.stage = "closed";
      this.#libbpf.symbols.bpf_object__close(this.#object);
    }
  }
}

function isVerbose(options: OpenOptions): boolean {
  return (options.logLevel ?? 0) > 0;
}

/** The options with the strings that they point to behind them, so that one array keeps both alive. */
function packOptions(name: string, options: OpenOptions): Uint8Array {
  const strings = Buffer.from(`${name}\0${options.btfPath ?? ""}\0`);
  const packed = new Uint8Array(OPTIONS_SIZE + strings.byteLength);
  packed.set(strings, OPTIONS_SIZE);
  const nameAddress = addressOf(packed) + OPTIONS_SIZE;
  const fields = new DataView(packed.buffer);
  fields.setBigUint64(0, BigInt(OPTIONS_SIZE), true);
  fields.setBigUint64(OBJECT_NAME, BigInt(nameAddress), true);
  if (options.btfPath !== undefined) {
    const pathAddress = nameAddress + Buffer.byteLength(name) + 1;
    fields.setBigUint64(BTF_CUSTOM_PATH, BigInt(pathAddress), true);
  }
  fields.setUint32(KERNEL_LOG_LEVEL, options.logLevel ?? 0, true);
  return packed;
}
