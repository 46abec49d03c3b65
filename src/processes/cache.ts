/**
 * Who owns which pid, and who owned it a moment ago.
 *
 * Kernel events (fork, exec, exit) keep it true for processes that live for milliseconds; /proc fills in
 * what was alive before the start. A process gets an id only when a connection asks for it; the id is
 * never reused, so that a closed connection that waits for its client keeps its own process even when
 * the pid has gone to another.
 *
 * Capacity: MAX_PROCESSES; a dead process stays for DEAD_FOR_MS, and is the first to go when full.
 */
import { eventKind, processEvent } from "../../ffi/layout.gen.ts";
import { readExe, readProcess } from "./proc.ts";

const MAX_PROCESSES = 8192;
const DEAD_FOR_MS = 60_000;

/** What is known of one process. */
export interface ProcessIdentity {
  pid: number;
  comm: string;
  /** Path of the executable file; "" when unknown. */
  exe: string;
  ppid: number;
  /** Effective user id in the initial user namespace. */
  uid: number;
  /** Nanoseconds since boot (CLOCK_BOOTTIME); /proc rounds it down to 10 ms. */
  startTime: number;
}

interface Entry extends ProcessIdentity {
  /** 0 until a connection asks. */
  id: number;
  /** Milliseconds of `now()`; undefined while alive. */
  diedAt?: number;
}

/** Who is told about processes that connections refer to. */
export interface ProcessListener {
  /** `id` stands for this process from now on. */
  put(id: number, process: ProcessIdentity): void;
  /** Nothing new will refer to `id`; what was stored with it may still be told. */
  remove(id: number): void;
}

export class ProcessCache {
  private readonly byPid = new Map<number, Entry>();
  private nextId = 1;
  private evicted = 0;
  private readonly decoder = new TextDecoder();

  constructor(
    private readonly listener: ProcessListener,
    private readonly now: () => number = () => performance.now(),
    private readonly procRoot = "/proc",
  ) {}

  /** Takes a `struct process_event` (bpf/abi.h) at `offset` of `bytes`. */
  onEvent(bytes: Uint8Array, offset: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
    const kind = view.getUint32(processEvent.kind, true);
    const pid = view.getUint32(processEvent.pid, true);
    if (kind === eventKind.EVENT_EXIT) {
      const entry = this.byPid.get(pid);
      if (entry !== undefined) entry.diedAt = this.now();
      return;
    }
    const identity: ProcessIdentity = {
      pid,
      comm: this.text(bytes, offset + processEvent.comm, processEvent.exe - processEvent.comm),
      exe: "",
      ppid: view.getUint32(processEvent.ppid, true),
      uid: view.getUint32(processEvent.uid, true),
      startTime: Number(view.getBigUint64(processEvent.start_time, true)),
    };
    const before = this.byPid.get(pid);
    if (kind === eventKind.EVENT_EXEC) {
      const length = processEvent.size - processEvent.exe;
      identity.exe = this.text(bytes, offset + processEvent.exe, length);
    } else {
      identity.exe = this.byPid.get(identity.ppid)?.exe ?? "";
    }
    if (before !== undefined) this.forget(before);
    this.insert(identity);
  }

  /**
   * The id of the process that owns `pid` now, or owned it within the last minute; 0 when nothing is
   * known. Asks /proc once for a process that no event has told of.
   */
  resolve(pid: number): number {
    if (pid === 0) return 0;
    const entry = this.byPid.get(pid) ?? this.lookUp(pid);
    if (entry === undefined) return 0;
    if (entry.id === 0) {
      entry.id = this.nextId++;
      // The event has the path as it was given to execve; the kernel knows the file.
      if (entry.diedAt === undefined) entry.exe = readExe(pid, this.procRoot) ?? entry.exe;
      this.listener.put(entry.id, entry);
    }
    return entry.id;
  }

  /** Forgets processes that died more than a minute ago. */
  expire(): void {
    const before = this.now() - DEAD_FOR_MS;
    for (const entry of this.byPid.values()) {
      if (entry.diedAt !== undefined && entry.diedAt < before) this.forget(entry);
    }
  }

  /** Every known process, for `/debug/process_cache`. */
  dump(): (ProcessIdentity & { alive: boolean })[] {
    return [...this.byPid.values()].map(({ id: _, diedAt, ...identity }) => ({
      ...identity,
      alive: diedAt === undefined,
    }));
  }

  stats(): { entries: number; capacity: number; evicted: number } {
    return { entries: this.byPid.size, capacity: MAX_PROCESSES, evicted: this.evicted };
  }

  private lookUp(pid: number): Entry | undefined {
    const identity = readProcess(pid, this.procRoot);
    return identity && this.insert(identity);
  }

  private insert(identity: ProcessIdentity): Entry {
    if (this.byPid.size >= MAX_PROCESSES) this.evict();
    const entry: Entry = { ...identity, id: 0 };
    this.byPid.set(identity.pid, entry);
    return entry;
  }

  /** Makes room: the oldest dead process, else the oldest of all; a live one can be read again. */
  private evict(): void {
    let victim: Entry | undefined;
    for (const entry of this.byPid.values()) {
      victim ??= entry;
      if (entry.diedAt !== undefined) {
        victim = entry;
        break;
      }
    }
    if (victim === undefined) return;
    this.evicted++;
    this.forget(victim);
  }

  private forget(entry: Entry): void {
    this.byPid.delete(entry.pid);
    if (entry.id !== 0) this.listener.remove(entry.id);
  }

  private text(bytes: Uint8Array, start: number, maxLength: number): string {
    const end = bytes.indexOf(0, start);
    const limit = start + maxLength;
    return this.decoder.decode(bytes.subarray(start, end < 0 || end > limit ? limit : end));
  }
}
