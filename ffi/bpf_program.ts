import type { Pointer } from "bun:ffi";
import { BpfLink } from "./bpf_link.ts";
import type { ObjectState } from "./bpf_object.ts";
import { NativeError } from "./errors.ts";
import { readFdInfo } from "./fdinfo.ts";
import type { Libbpf } from "./libbpf.ts";
import { addressOf } from "./pointer.ts";

/** struct bpf_test_run_opts since libbpf 0.8, in 32-bit words; what we pass by address follows it. */
const RUN_WORDS = 20;
const RUN_CTX_IN = 8;
const RUN_CTX_SIZE = 12;
const RUN_RETVAL = 14;

/** MAX_BPF_FUNC_ARGS of the kernel: u64 arguments that a raw tracepoint can have. */
const MAX_ARGUMENTS = 12;

/** What the kernel has counted of one program. */
export interface ProgramInfo {
  id: number;
  /** Runs since load; counted only while kernel.bpf_stats_enabled is 1, like `runTimeNs`. */
  runCount: number;
  runTimeNs: number;
  /** Runs skipped because the program was interrupted on the same CPU; 0 before Linux 5.12. */
  recursionMisses: number;
}

/** One program of a BPF object. */
export class BpfProgram {
  readonly #libbpf: Libbpf;
  readonly #program: Pointer;
  readonly #state: ObjectState;
  readonly #links: BpfLink[] = [];
  readonly #run = new Uint32Array(RUN_WORDS + 2 * MAX_ARGUMENTS);
  readonly name: string;
  /** The name in SEC(), for example `raw_tp/tcp_destroy_sock`. */
  readonly section: string;

  constructor(libbpf: Libbpf, program: Pointer, state: ObjectState) {
    this.#libbpf = libbpf;
    this.#program = program;
    this.#state = state;
    this.name = libbpf.symbols.bpf_program__name(program) ?? "";
    this.section = libbpf.symbols.bpf_program__section_name(program) ?? "";
  }

  /** Whether `load` loads it; only before. */
  setAutoload(on: boolean): void {
    this.#requireStage("switch BPF program", "opened");
    this.#libbpf.check("switch BPF program", this.name, () =>
      this.#libbpf.symbols.bpf_program__set_autoload(this.#program, on),
    );
  }

  /** File descriptor of the loaded program. */
  get fd(): number {
    this.#requireStage("use BPF program", "loaded");
    return this.#libbpf.check("use BPF program", this.name, () =>
      this.#libbpf.symbols.bpf_program__fd(this.#program),
    );
  }

  /** Attaches to what its section names: raw tracepoint, fentry, fexit, kprobe. */
  attach(): BpfLink {
    return this.#attach(() => this.#libbpf.symbols.bpf_program__attach(this.#program));
  }

  /** Attaches to a cgroup v2, next to programs of others. */
  attachCgroup(cgroupFd: number): BpfLink {
    return this.#attach(() =>
      this.#libbpf.symbols.bpf_program__attach_cgroup(this.#program, cgroupFd),
    );
  }

  /** Attaches to an event of `openTracepoint`. The link owns `fd` then; after an error the caller does. */
  attachPerfEvent(fd: number): BpfLink {
    return this.#attach(() =>
      this.#libbpf.symbols.bpf_program__attach_perf_event(this.#program, fd),
    );
  }

  #attach(attach: () => Pointer | bigint | null): BpfLink {
    this.#requireStage("attach BPF program", "loaded");
    const address = this.#libbpf.checkPointer("attach BPF program", this.name, attach);
    const link = new BpfLink(this.#libbpf, this.name, address);
    this.#links.push(link);
    return link;
  }

  /** Destroys every link that is left. */
  detach(): void {
    for (const link of this.#links.splice(0)) link.destroy();
  }

  /**
   * Runs a raw tracepoint program once, here and now (BPF_PROG_TEST_RUN; Linux 5.10).
   *
   * @param args its arguments, each a u64; at least as many as it reads
   * @returns what it returned, and the time of the call (the kernel does not measure this kind)
   */
  testRun(args: readonly bigint[] = []): { retval: number; durationNs: number } {
    if (args.length > MAX_ARGUMENTS) throw new RangeError(`more than ${MAX_ARGUMENTS} arguments`);
    const { fd } = this;
    const run = this.#run.fill(0);
    const fields = new DataView(run.buffer);
    const context = 4 * RUN_WORDS;
    args.forEach((argument, index) => {
      fields.setBigUint64(context + 8 * index, BigInt.asUintN(64, argument), true);
    });
    fields.setBigUint64(0, BigInt(context), true);
    if (args.length > 0) {
      fields.setBigUint64(4 * RUN_CTX_IN, BigInt(addressOf(run) + context), true);
      fields.setUint32(4 * RUN_CTX_SIZE, 8 * args.length, true);
    }
    const start = Bun.nanoseconds();
    this.#libbpf.check("run BPF program", this.name, () =>
      this.#libbpf.symbols.bpf_prog_test_run_opts(fd, run),
    );
    return { retval: run[RUN_RETVAL] ?? 0, durationNs: Bun.nanoseconds() - start };
  }

  /** What the kernel has counted of this program. */
  info(): ProgramInfo {
    const info = readFdInfo(this.fd);
    return {
      id: info.get("prog_id") ?? 0,
      runCount: info.get("run_cnt") ?? 0,
      runTimeNs: info.get("run_time_ns") ?? 0,
      recursionMisses: info.get("recursion_misses") ?? 0,
    };
  }

  #requireStage(operation: string, stage: ObjectState["stage"]): void {
    if (this.#state.stage === stage) return;
    throw new NativeError(operation, this.name, `its object is ${this.#state.stage}, not ${stage}`);
  }
}
