import { type Pointer, toArrayBuffer } from "bun:ffi";
import type { ObjectState } from "./bpf_object.ts";
import { NativeError } from "./errors.ts";
import { readFdInfo } from "./fdinfo.ts";
import type { Libbpf } from "./libbpf.ts";
import type { LibbpfSymbols } from "./libbpf_symbols.ts";
import { ENOENT } from "./libc.ts";
import { type MapContents, type MapMemory, MapReader } from "./map_reader.ts";

/** enum bpf_map_type: those that Portolan uses or treats specially. */
export const MapType = {
  HASH: 1,
  ARRAY: 2,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  SK_STORAGE: 24,
  RINGBUF: 27,
} as const;

const PER_CPU: readonly number[] = [
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
];

/** What the kernel shows of one map. */
export interface MapInfo {
  id: number;
  /** Bytes of kernel memory that it is accounted for. */
  memlock: number;
}

/**
 * One map of a BPF object. Keys and values are bytes; their lengths are checked, as the kernel trusts
 * them.
 */
export class BpfMap {
  readonly #libbpf: Libbpf;
  readonly #map: Pointer;
  readonly #state: ObjectState;
  #fd = -1;
  #reader: MapReader | undefined;
  /** Of a map that libbpf made for global data, the section: `.rodata`, `.bss`, … */
  readonly name: string;
  /** One of MapType, or another of enum bpf_map_type. */
  readonly type: number;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes; of a per-CPU map, those of one CPU. */
  readonly valueSize: number;
  /** Bytes that `lookup` writes and `update` reads: of a per-CPU map, a value for each possible CPU. */
  readonly lookupSize: number;

  constructor(libbpf: Libbpf, map: Pointer, state: ObjectState) {
    const { symbols } = libbpf;
    this.#libbpf = libbpf;
    this.#map = map;
    this.#state = state;
    this.type = symbols.bpf_map__type(map);
    this.keySize = symbols.bpf_map__key_size(map);
    this.valueSize = symbols.bpf_map__value_size(map);
    this.lookupSize = PER_CPU.includes(this.type)
      ? libbpf.possibleCpus() * roundUpTo8(this.valueSize)
      : this.valueSize;
    const name = symbols.bpf_map__name(map) ?? "";
    // libbpf puts a part of the object's name in front of the section's.
    this.name = symbols.bpf_map__is_internal(map) ? name.slice(name.indexOf(".")) : name;
  }

  /** Capacity in entries; of a ring buffer, bytes. */
  get maxEntries(): number {
    if (this.#state.stage === "closed") this.#requireStage("loaded");
    return this.#libbpf.symbols.bpf_map__max_entries(this.#map);
  }

  /** Sets the capacity; before load, like all down to `initialValue`. */
  setMaxEntries(entries: number): void {
    this.#adjust((symbols) => symbols.bpf_map__set_max_entries(this.#map, entries));
  }

  /** Replaces the BPF_F_* flags. */
  setFlags(flags: number): void {
    this.#adjust((symbols) => symbols.bpf_map__set_map_flags(this.#map, flags));
  }

  /** Whether `load` creates it. */
  setAutocreate(on: boolean): void {
    this.#adjust((symbols) => symbols.bpf_map__set_autocreate(this.#map, on));
  }

  /** Uses the map of another object instead of an own one; libbpf duplicates the descriptor. */
  reuseFd(fd: number): void {
    this.#adjust((symbols) => symbols.bpf_map__reuse_fd(this.#map, fd));
  }

  /**
   * The global data that the map will start with. Writes to it count until `load`; afterwards, do not
   * touch it: it is neither the live map nor sure to be writable.
   */
  initialValue(): Uint8Array {
    this.#requireStage("opened");
    const size = new BigUint64Array(1);
    const address = this.#libbpf.symbols.bpf_map__initial_value(this.#map, size);
    if (address === null) throw new NativeError("set BPF map", this.name, "it has no global data");
    return new Uint8Array(toArrayBuffer(address, 0, Number(size[0])));
  }

  /** File descriptor of the created map. */
  get fd(): number {
    this.#requireStage("loaded");
    if (this.#fd < 0) {
      this.#fd = this.#libbpf.check("use BPF map", this.name, () =>
        this.#libbpf.symbols.bpf_map__fd(this.#map),
      );
    }
    return this.#fd;
  }

  /** Copies the value of `key` to `into` (`lookupSize` bytes); false when there is none. */
  lookup(key: Uint8Array, into: Uint8Array): boolean {
    this.#requireSize(key, this.keySize);
    this.#requireSize(into, this.lookupSize);
    return this.#found("read", this.#libbpf.symbols.bpf_map_lookup_elem(this.fd, key, into));
  }

  /** Writes an entry. @param flags BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2 */
  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.#requireSize(key, this.keySize);
    this.#requireSize(value, this.lookupSize);
    const { fd } = this;
    this.#libbpf.check("write BPF map", this.name, () =>
      this.#libbpf.symbols.bpf_map_update_elem(fd, key, value, flags),
    );
  }

  /** Removes an entry; false when there was none. */
  delete(key: Uint8Array): boolean {
    this.#requireSize(key, this.keySize);
    return this.#found("delete from", this.#libbpf.symbols.bpf_map_delete_elem(this.fd, key));
  }

  /**
   * Copies the key that follows `key` to `into`; false after the last. Starts with null, and starts
   * over when `key` has been deleted meanwhile: bound a loop over it, or use `readAll`.
   */
  nextKey(key: Uint8Array | null, into: Uint8Array): boolean {
    if (key !== null) this.#requireSize(key, this.keySize);
    this.#requireSize(into, this.keySize);
    return this.#found("read", this.#libbpf.symbols.bpf_map_get_next_key(this.fd, key, into));
  }

  /** Reads all entries of a hash map, per-CPU ones included; see MapReader. */
  readAll(memory: MapMemory): MapContents {
    this.#reader ??= new MapReader(this.#libbpf, this);
    return this.#reader.read(memory);
  }

  /** What the kernel shows of this map. */
  info(): MapInfo {
    const info = readFdInfo(this.fd);
    return { id: info.get("map_id") ?? 0, memlock: info.get("memlock") ?? 0 };
  }

  #adjust(set: (symbols: LibbpfSymbols) => number): void {
    this.#requireStage("opened");
    this.#libbpf.check("set up BPF map", this.name, () => set(this.#libbpf.symbols));
  }

  #found(operation: string, result: number): boolean {
    if (result === 0) return true;
    if (result === -ENOENT) return false;
    throw NativeError.fromErrno(`${operation} BPF map`, this.name, -result);
  }

  #requireSize(bytes: Uint8Array, size: number): void {
    if (bytes.byteLength < size) {
      throw new RangeError(`map ${this.name}: ${bytes.byteLength} bytes given, ${size} needed`);
    }
  }

  #requireStage(stage: ObjectState["stage"]): void {
    if (this.#state.stage === stage) return;
    const reason = `its object is ${this.#state.stage}, not ${stage}`;
    throw new NativeError("use BPF map", this.name, reason);
  }
}

function roundUpTo8(bytes: number): number {
  return (bytes + 7) & ~7;
}
