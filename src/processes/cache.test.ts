import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readlinkSync } from "node:fs";
import { eventKind, processEvent } from "../../ffi/layout.gen.ts";
import { ProcessCache, type ProcessIdentity } from "./cache.ts";

/** No process has a pid above PID_MAX_LIMIT, so /proc knows none of these. */
const PID = 1 << 23;

function event(kind: number, fields: Partial<ProcessIdentity>): Uint8Array {
  const bytes = new Uint8Array(processEvent.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(processEvent.kind, kind, true);
  view.setUint32(processEvent.pid, fields.pid ?? PID, true);
  view.setUint32(processEvent.ppid, fields.ppid ?? 1, true);
  view.setUint32(processEvent.uid, fields.uid ?? 0, true);
  view.setBigUint64(processEvent.start_time, BigInt(fields.startTime ?? 0), true);
  bytes.set(Buffer.from(fields.comm ?? ""), processEvent.comm);
  bytes.set(Buffer.from(fields.exe ?? ""), processEvent.exe);
  return bytes;
}

function setUp() {
  const known = new Map<number, ProcessIdentity>();
  const removed: number[] = [];
  const clock = { now: 0 };
  const cache = new ProcessCache(
    {
      put: (id, process) => known.set(id, { ...process }),
      remove: (id) => removed.push(id),
    },
    () => clock.now,
  );
  const feed = (kind: number, fields: Partial<ProcessIdentity>) =>
    cache.onEvent(event(kind, fields), 0);
  return { cache, known, removed, clock, feed };
}

describe("a process that /proc has never shown", () => {
  test("is described by its exec event, also after its exit", () => {
    const { cache, known, feed } = setUp();
    feed(eventKind.EVENT_EXEC, { comm: "curl", exe: "/usr/bin/curl", ppid: 7, uid: 33 });
    feed(eventKind.EVENT_EXIT, {});
    const id = cache.resolve(PID);
    expect(known.get(id)).toMatchObject({ comm: "curl", exe: "/usr/bin/curl", ppid: 7, uid: 33 });
  });

  test("has its parent's program when it only forked", () => {
    const { cache, known, feed } = setUp();
    feed(eventKind.EVENT_EXEC, { comm: "nginx", exe: "/usr/sbin/nginx" });
    feed(eventKind.EVENT_FORK, { pid: PID + 1, ppid: PID, comm: "nginx" });
    expect(known.get(cache.resolve(PID + 1))).toMatchObject({ exe: "/usr/sbin/nginx", ppid: PID });
  });

  test("is unknown without an event", () => {
    expect(setUp().cache.resolve(PID)).toBe(0);
  });

  test("is forgotten a minute after its exit, and its id given back", () => {
    const { cache, removed, clock, feed } = setUp();
    feed(eventKind.EVENT_EXEC, { comm: "true" });
    const id = cache.resolve(PID);
    feed(eventKind.EVENT_EXIT, {});
    clock.now = 59_999;
    cache.expire();
    expect(cache.resolve(PID)).toBe(id);
    clock.now = 60_001;
    cache.expire();
    expect(cache.resolve(PID)).toBe(0);
    expect(removed).toEqual([id]);
  });
});

test("a pid that goes to another process gets another id", () => {
  const { cache, known, removed, feed } = setUp();
  feed(eventKind.EVENT_EXEC, { comm: "first" });
  const first = cache.resolve(PID);
  feed(eventKind.EVENT_EXIT, {});
  feed(eventKind.EVENT_FORK, { comm: "second" });
  const second = cache.resolve(PID);
  expect(second).not.toBe(first);
  expect(known.get(second)?.comm).toBe("second");
  expect(removed).toEqual([first]);
});

test("a process that was there before is read from /proc", () => {
  const { cache, known } = setUp();
  expect(known.get(cache.resolve(process.pid))).toMatchObject({
    pid: process.pid,
    exe: readlinkSync("/proc/self/exe"),
    ppid: process.ppid,
    uid: process.geteuid?.(),
  });
});

test("a name with spaces and parentheses is read whole", async () => {
  const { cache, known } = setUp();
  const child = spawn("sh", ["-c", "printf 'a) (b' > /proc/$$/comm; echo; read wait"]);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  expect(known.get(cache.resolve(child.pid ?? 0))?.comm).toBe("a) (b");
  child.stdin.end();
});

test("the table is bounded; dead processes go first", () => {
  const { cache, feed } = setUp();
  feed(eventKind.EVENT_EXEC, { pid: PID, comm: "alive" });
  feed(eventKind.EVENT_EXEC, { pid: PID + 1, comm: "dead" });
  feed(eventKind.EVENT_EXIT, { pid: PID + 1 });
  const { capacity } = cache.stats();
  for (let i = 2; i <= capacity; i++) feed(eventKind.EVENT_FORK, { pid: PID + i });
  expect(cache.stats()).toEqual({ entries: capacity, capacity, evicted: 1 });
  expect(cache.resolve(PID)).not.toBe(0);
  expect(cache.resolve(PID + 1)).toBe(0);
});
