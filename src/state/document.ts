import { encode } from "@msgpack/msgpack";
import { PortolanError } from "../model/errors.ts";
import type { Kernels } from "../wasm/kernels.ts";
import { encoder as field, row } from "../wasm/layout.ts";
import type { RecordMemory } from "../wasm/memory.ts";
import { allocSlots } from "./indexed_array.ts";
import type { ProcessDescriptions } from "./processes.ts";
import type { RowRun, Rows } from "./rows.ts";

/**
 * Size of a part of an encoded document; large enough that handing it on costs nothing beside
 * encoding it.
 */
const CHUNK = 256 * 1024;

/** What a `Connections` document has around its connections. */
export interface Envelope {
  clientId: string;
  /** ns, CLOCK_MONOTONIC. */
  latestTime: bigint;
  /** Counters for `connTelemetryMap`, to which the client's own are added. */
  telemetry: Readonly<Record<string, number>>;
}

/** Local ports that the kernel picks from: /proc/sys/net/ipv4/ip_local_port_range, inclusive. */
export interface PortRange {
  first: number;
  last: number;
}

/** Encodes rows as `Connections` documents. */
export class DocumentEncoder {
  readonly #memory: RecordMemory;
  readonly #kernels: Kernels;
  readonly #processes: ProcessDescriptions;
  readonly #ephemeral: PortRange;

  constructor(
    memory: RecordMemory,
    kernels: Kernels,
    processes: ProcessDescriptions,
    ephemeral: PortRange,
  ) {
    this.#memory = memory;
    this.#kernels = kernels;
    this.#processes = processes;
    this.#ephemeral = ephemeral;
  }

  /**
   * The document in parts of up to 256 KiB, each a buffer of its own that can be transferred. The
   * next part is made when it is asked for, so that a reader who takes his time bounds the memory.
   * @param resolve id of a pid's description, 0 when unknown; asked once per distinct pid of open
   * connections
   * @throws PortolanError when the record memory is full
   */
  *encode(
    rows: Rows,
    format: "json" | "msgpack",
    envelope: Envelope,
    resolve: (pid: number) => number,
  ): Generator<ArrayBuffer, void, undefined> {
    this.#findOwners(rows.active, resolve);
    const { before, after } =
      format === "json" ? jsonEnvelope(rows, envelope) : msgpackEnvelope(rows, envelope);
    using owned = new DisposableStack();
    const chunk = this.#memory.alloc(CHUNK);
    owned.defer(() => this.#memory.free(chunk));
    const job = this.#memory.alloc(field.length * 4);
    owned.defer(() => this.#memory.free(job));
    const fields = new Uint32Array(this.#memory.bytes.buffer, job, field.length);
    fields[field.end] = chunk + CHUNK;
    fields[field.first] = 1;
    fields[field.ephemeralFirst] = this.#ephemeral.first;
    fields[field.ephemeralLast] = this.#ephemeral.last;

    yield before;
    for (const run of [rows.active, rows.closed]) {
      for (let done = 0; done < run.count; ) {
        fields[field.out] = chunk;
        // Processes may have been put while the reader had the last part.
        fields[field.processes] = this.#processes.table;
        done += this.#encodeRows(format, job, run, done);
        yield this.#memory.memory.buffer.slice(chunk, fields[field.out]);
      }
    }
    yield after;
  }

  /** Encodes as many rows from `done` on as fit into the chunk. */
  #encodeRows(format: "json" | "msgpack", job: number, run: RowRun, done: number): number {
    const kernel = format === "json" ? this.#kernels.encode_json : this.#kernels.encode_msgpack;
    const count = kernel(job, run.offset + done * row.size, run.count - done);
    if (count === 0) {
      const reason = `a row does not fit into ${CHUNK} bytes`;
      throw new PortolanError("encode", "a connection", reason);
    }
    return count;
  }

  /** Sets the process of each row by its pid. */
  #findOwners(rows: RowRun, resolve: (pid: number) => number): void {
    const memory = this.#memory;
    using owned = new DisposableStack();
    const pids = memory.alloc(rows.count * 4);
    owned.defer(() => memory.free(pids));
    const { slots, mask } = allocSlots(memory, rows.count);
    owned.defer(() => memory.free(slots));
    const found = this.#kernels.owners_gather(rows.offset, rows.count, pids, slots, mask);
    const list = new Uint32Array(memory.bytes.buffer, pids, found);
    list.forEach((pid, index) => {
      list[index] = this.#processes.slot(resolve(pid));
    });
    this.#kernels.owners_assign(rows.offset, rows.count, pids);
  }
}

interface EncodedEnvelope {
  before: ArrayBuffer;
  after: ArrayBuffer;
}

/** What follows the connections, in order. */
function tail(rows: Rows, envelope: Envelope) {
  return {
    dns: {},
    domains: [],
    routes: [],
    tags: [],
    connTelemetryMap: { ...envelope.telemetry, ...rows.telemetry },
  };
}

function jsonEnvelope(rows: Rows, envelope: Envelope): EncodedEnvelope {
  const text = new TextEncoder();
  const id = JSON.stringify(envelope.clientId);
  const before = `{"clientId":${id},"latestTime":${envelope.latestTime},"conns":[`;
  const after = `],${JSON.stringify(tail(rows, envelope)).slice(1)}`;
  return { before: text.encode(before).buffer, after: text.encode(after).buffer };
}

function msgpackEnvelope(rows: Rows, envelope: Envelope): EncodedEnvelope {
  const members = Object.entries(tail(rows, envelope));
  const time = new DataView(new ArrayBuffer(9));
  time.setUint8(0, 0xcf); // uint 64
  time.setBigUint64(1, envelope.latestTime);
  const array = new DataView(new ArrayBuffer(5));
  array.setUint8(0, 0xdd); // array 32
  array.setUint32(1, rows.count);
  const fixmap = 0x80 + 3 + members.length;
  const before = [encode("clientId"), encode(envelope.clientId), encode("latestTime"), time];
  return {
    before: concat([Uint8Array.of(fixmap), ...before, encode("conns"), array]),
    after: concat(members.flatMap((member) => member.map((value) => encode(value)))),
  };
}

function concat(parts: (Uint8Array | DataView)[]): ArrayBuffer {
  const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of parts) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return bytes.buffer;
}
