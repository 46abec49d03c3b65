import type { Libbpf } from "./libbpf.ts";
import { toPointer } from "./pointer.ts";

/** A program attached to a hook. The kernel detaches it when the process ends, however it ends. */
export class BpfLink {
  readonly #libbpf: Libbpf;
  #address: number;

  constructor(
    libbpf: Libbpf,
    /** The program's name. */
    readonly name: string,
    address: number,
  ) {
    this.#libbpf = libbpf;
    this.#address = address;
  }

  /** Detaches the program; harmless when done before. */
  destroy(): void {
    if (this.#address === 0) return;
    const link = toPointer(this.#address);
    this.#address = 0;
    this.#libbpf.check("detach BPF program", this.name, () =>
      this.#libbpf.symbols.bpf_link__destroy(link),
    );
  }
}
