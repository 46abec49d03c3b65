/** What the tests of this room share: a state of its own, and records written as a source would. */
import { conn } from "../../ffi/layout.gen.ts";
import { wasmModule } from "../assets.ts";
import type { Connections } from "../model/connection.ts";
import type { Segment } from "../model/segment.ts";
import { type Kernels, loadKernels } from "../wasm/kernels.ts";
import { row as rowLayout } from "../wasm/layout.ts";
import { RecordMemory } from "../wasm/memory.ts";
import { type ConnRecord, readRecord, writeRecord } from "../wasm/twins/record.ts";
import { ConnectionState, type StateOptions } from "./connection_state.ts";
import { DocumentEncoder } from "./document.ts";
import type { Rows } from "./rows.ts";

const MIB = 1024 * 1024;
const IPPROTO_TCP = 6;
const module = wasmModule("state");

/**
 * A number generator that repeats itself for the same seed (mulberry32): integers below `limit`.
 */
export function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** An IPv4 address as records hold it. */
export function v4(...octets: number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...octets);
}

/** A TCP connection with the given fields and quiet ones for the rest. */
export function record(fields: Partial<ConnRecord> & { cookie: bigint }): ConnRecord {
  return {
    ...readRecord(new Uint8Array(conn.size), 0),
    laddr: v4(10, 0, 0, 1),
    raddr: v4(10, 0, 0, 2),
    lport: 40_000,
    rport: 443,
    protocol: IPPROTO_TCP,
    ...fields,
  };
}

/** A state with its memory, kernels and encoder, and short ways to feed and question it. */
export class Fixture {
  readonly memory: RecordMemory;
  readonly kernels: Kernels;
  readonly state: ConnectionState;
  readonly encoder: DocumentEncoder;
  #segments: Segment[] = [];

  constructor(options: Partial<StateOptions> = {}) {
    this.memory = options.memory ?? new RecordMemory(256 * MIB);
    this.kernels = loadKernels(module, this.memory);
    this.state = new ConnectionState({
      memory: this.memory,
      kernels: this.kernels,
      maxTracked: 65_536,
      maxClosed: 65_536,
      clientExpiry: 120_000_000_000n,
      ...options,
    });
    const ephemeral = { first: 32_768, last: 60_999 };
    this.encoder = new DocumentEncoder(this.memory, this.kernels, this.state.processes, ephemeral);
  }

  /** Writes these records as the segment of all open connections, and frees the one before. */
  open(records: readonly ConnRecord[], stride: number = conn.size): Segment[] {
    for (const { offset } of this.#segments) this.memory.free(offset);
    const offset = this.memory.alloc(records.length * stride);
    for (const [index, each] of records.entries()) {
      writeRecord(this.memory.bytes, offset + index * stride, each);
    }
    this.#segments = [{ offset, stride, count: records.length }];
    return this.#segments;
  }

  close(closed: ConnRecord, processId = 0): void {
    const bytes = new Uint8Array(conn.size + 8);
    writeRecord(bytes, 8, closed);
    this.state.storeClosed(bytes, 8, processId);
  }

  /** The document of a client's delta, committed. */
  fetch(client: string, open: readonly ConnRecord[], now = 0n): Connections {
    using delta = this.state.delta(client, this.open(open), now);
    const document = this.decode(delta, client);
    delta.commit();
    return document;
  }

  /** These rows as the value of their JSON document. */
  decode(rows: Rows, clientId = "a"): Connections {
    return JSON.parse(new TextDecoder().decode(this.encode(rows, "json", clientId)));
  }

  encode(
    rows: Rows,
    format: "json" | "msgpack",
    clientId = "a",
    resolve: (pid: number) => number = () => 0,
  ): Uint8Array {
    const envelope = { clientId, latestTime: 123n, telemetry: { perf_lost: 1 } };
    return concat(this.encoder.encode(rows, format, envelope, resolve));
  }

  /** The records that rows point to. */
  recordsOf(rows: Rows): ConnRecord[] {
    return [rows.active, rows.closed].flatMap(({ offset, count }) =>
      Array.from({ length: count }, (_, index) => {
        const at = offset + index * rowLayout.size + rowLayout.record;
        return readRecord(this.memory.bytes, this.memory.view.getUint32(at, true));
      }),
    );
  }
}

/** What a document says in short: cookie, bytes sent since the last time, and whether closed. */
export function summary({ conns }: Connections): string[] {
  return conns.map(
    ({ cookie, lastBytesSent, isClosed }) =>
      `${cookie}: ${lastBytesSent}${isClosed ? " closed" : ""}`,
  );
}

/** The parts of an encoded document as one. */
export function concat(chunks: Iterable<ArrayBuffer>): Uint8Array {
  return Buffer.concat([...chunks].map((chunk) => new Uint8Array(chunk)));
}
