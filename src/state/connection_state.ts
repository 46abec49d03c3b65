import { PortolanError } from "../model/errors.ts";
import type { Segment } from "../model/segment.ts";
import type { TableStatus } from "../model/status.ts";
import type { Kernels } from "../wasm/kernels.ts";
import { counters, row, told as toldLayout } from "../wasm/layout.ts";
import type { RecordMemory } from "../wasm/memory.ts";
import { Client } from "./client.ts";
import { ClosedLog } from "./closed_log.ts";
import { computePass, type Pass } from "./delta.ts";
import { ProcessDescriptions } from "./processes.ts";
import { Delta, Rows } from "./rows.ts";

/** With the default limits the tables of all of them fit into the record memory. */
const MAX_CLIENTS = 64;

export interface StateOptions {
  memory: RecordMemory;
  kernels: Kernels;
  /** Most open connections whose totals are kept for a client. */
  maxTracked: number;
  /** Most closed connections that wait for clients. */
  maxClosed: number;
  /** ns without a fetch after which a client is forgotten. */
  clientExpiry: bigint;
}

/** What a client was told of a connection, for `/debug/net_state`. */
export interface ToldTotals {
  total_sent: number;
  total_recv: number;
  total_retransmits: number;
  total_tcp_established: number;
  total_tcp_closed: number;
}

/**
 * What each client has been told, and the closed connections that wait for it. Pure: records in,
 * rows out. All times are nanoseconds of CLOCK_MONOTONIC, as in the records.
 *
 * One document at a time: rows that were not disposed of yet make `delta`, `snapshot` and
 * `expireClients` throw, for they point into what these would give back. Storing and registering go
 * on meanwhile.
 */
export class ConnectionState {
  /** Descriptions of processes, by the ids that `storeClosed` and `DocumentEncoder` are given. */
  readonly processes: ProcessDescriptions;
  readonly #options: StateOptions;
  readonly #log: ClosedLog;
  readonly #clients = new Map<string, Client>();
  #rowsInUse = false;
  #totalClosed = 0;
  #expiredClients = 0;
  /** Of clients that have expired. */
  #closedDropped = 0;
  #connDropped = 0;
  #underflows = 0;
  #duplicates = 0;

  constructor(options: StateOptions) {
    this.#options = options;
    this.#log = new ClosedLog(options.memory, options.maxClosed);
    this.processes = new ProcessDescriptions(options.memory, this.#log);
  }

  /**
   * From now on closed connections are kept for this client. Does nothing for one that is known.
   * @throws PortolanError when there are too many clients
   */
  register(id: string, now: bigint): void {
    this.#client(id, now);
  }

  /**
   * Takes the `struct conn` at `offset` of a connection that closed, for all registered clients.
   * @param processId of its owner; 0 unknown
   * @throws PortolanError when the record memory is full
   */
  storeClosed(bytes: Uint8Array, offset: number, processId: number): void {
    this.#totalClosed++;
    if (this.#clients.size === 0) return;
    this.#log.append(bytes, offset, this.processes.slot(processId));
    if (!this.#rowsInUse) this.#log.release(this.#log.start);
  }

  /**
   * What changed for this client since its last committed delta; registers it where it is unknown.
   * @param segments all open connections; unchanged until the rows are disposed of
   * @throws PortolanError when there are too many clients or the record memory is full
   */
  delta(id: string, segments: readonly Segment[], now: bigint): Delta {
    this.#requireNoRows("compute delta", id);
    const client = this.#client(id, now);
    client.lastFetch = now;
    const { memory, kernels, maxTracked } = this.#options;
    const { told, position } = client;
    const pass = computePass(memory, kernels, this.#log, { told, position, segments, maxTracked });
    const end = this.#log.end;
    let committed = false;
    this.#rowsInUse = true;
    return new Delta(pass.active, pass.closed, telemetry(client, pass.dropped), {
      commit: () => {
        committed = true;
        this.#count(client, pass);
        client.advance(end, pass.told);
      },
      release: () => {
        pass.freeRows();
        if (!committed) pass.told.free();
        this.#releaseRows();
      },
    });
  }

  /** All open connections as they are, for a document that is no client's. */
  snapshot(segments: readonly Segment[]): Rows {
    this.#requireNoRows("take snapshot of", "the open connections");
    const { memory, kernels } = this.#options;
    const total = segments.reduce((sum, { count }) => sum + count, 0);
    const rows = memory.alloc(total * row.size);
    let at = rows;
    for (const { offset, stride, count } of segments) {
      kernels.snapshot(at, offset, stride, count);
      at += count * row.size;
    }
    this.#rowsInUse = true;
    return new Rows({ offset: rows, count: total }, { offset: rows, count: 0 }, {}, () => {
      memory.free(rows);
      this.#releaseRows();
    });
  }

  /**
   * What this client has lost, by the names of `connTelemetryMap`; undefined for an unknown one.
   */
  telemetry(id: string): Record<string, number> | undefined {
    const client = this.#clients.get(id);
    return client && telemetry(client, 0);
  }

  /** What this client was told of each open connection, by cookie; undefined for an unknown one. */
  netState(id: string): Record<string, ToldTotals> | undefined {
    const client = this.#clients.get(id);
    if (client === undefined) return undefined;
    const { view } = this.#options.memory;
    const totals: Record<string, ToldTotals> = {};
    const { offset, count } = client.told.open;
    for (let i = 0; i < count; i++) {
      const entry = offset + i * toldLayout.size;
      const total = entry + toldLayout.total;
      totals[view.getBigUint64(entry + toldLayout.cookie, true).toString()] = {
        total_sent: Number(view.getBigUint64(total + counters.sent_bytes, true)),
        total_recv: Number(view.getBigUint64(total + counters.recv_bytes, true)),
        total_retransmits: view.getUint32(total + counters.retransmits, true),
        total_tcp_established: view.getUint32(total + counters.established, true),
        total_tcp_closed: view.getUint32(total + counters.closed, true),
      };
    }
    return totals;
  }

  /** Forgets the clients whose last fetch is too long ago, and says which. */
  expireClients(now: bigint): string[] {
    this.#requireNoRows("expire", "clients");
    const before = now - this.#options.clientExpiry;
    const expired = [...this.#clients].filter(([, { lastFetch }]) => lastFetch < before);
    for (const [id, client] of expired) {
      client.told.free();
      this.#clients.delete(id);
      this.#expiredClients++;
      this.#closedDropped += client.closedDropped;
    }
    this.#reclaim();
    return expired.map(([id]) => id);
  }

  tables(): TableStatus[] {
    const { memory, maxClosed } = this.#options;
    const clients = [...this.#clients.values()];
    const { entries, capacity, bytes } = this.processes;
    return [
      {
        name: "clients",
        entries: clients.length,
        capacity: MAX_CLIENTS,
        bytes: clients.reduce((sum, { told }) => sum + told.bytes, 0),
      },
      {
        name: "closed_connections",
        entries: this.#log.end - this.#log.start,
        capacity: maxClosed,
        bytes: this.#log.bytes,
      },
      { name: "process_descriptions", entries, capacity, bytes },
      {
        name: "record_memory_bytes",
        entries: memory.used,
        capacity: memory.capacity,
        bytes: memory.used,
      },
    ];
  }

  /** Counters since the start. */
  stats(): Record<string, number> {
    const clients = [...this.#clients.values()];
    return {
      clients: clients.length,
      clients_expired: this.#expiredClients,
      total_closed: this.#totalClosed,
      closed_conn_dropped: clients.reduce(
        (sum, { closedDropped }) => sum + closedDropped,
        this.#closedDropped,
      ),
      conn_dropped: this.#connDropped,
      stats_underflows: this.#underflows,
      stats_cookie_collisions: this.#duplicates,
    };
  }

  #client(id: string, now: bigint): Client {
    const known = this.#clients.get(id);
    if (known !== undefined) return known;
    if (this.#clients.size >= MAX_CLIENTS) {
      const reason = `${MAX_CLIENTS} clients are registered, and none of them has expired`;
      throw new PortolanError("register client", id, reason);
    }
    const client = new Client(this.#options.memory, this.#log, now);
    this.#clients.set(id, client);
    return client;
  }

  #count(client: Client, pass: Pass): void {
    client.connDropped += pass.dropped;
    this.#connDropped += pass.dropped;
    this.#underflows += pass.underflows;
    this.#duplicates += pass.duplicates;
  }

  #requireNoRows(operation: string, object: string): void {
    if (!this.#rowsInUse) return;
    throw new PortolanError(operation, object, "the rows of another document are still in use");
  }

  #releaseRows(): void {
    this.#rowsInUse = false;
    this.#reclaim();
  }

  /**
   * Gives back closed connections that every client has been told, and what only they referred to.
   */
  #reclaim(): void {
    const positions = [...this.#clients.values()].map(({ position }) => position);
    this.#log.release(Math.min(this.#log.end, ...positions));
    this.processes.reclaim();
  }
}

function telemetry(client: Client, dropped: number): Record<string, number> {
  return {
    closed_conn_dropped: client.closedDropped,
    conn_dropped: client.connDropped + dropped,
  };
}
