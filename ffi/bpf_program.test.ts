import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { describeKernel, withFixture } from "./bpf_fixture.ts";
import type { BpfObject } from "./bpf_object.ts";
import * as libc from "./libc.ts";
import { Mapping } from "./mapping.ts";
import { openFilesystem } from "./mount.ts";
import { openTracepoint } from "./perf_event.ts";

/** Reads the global variable `hits` from the live map. */
function hits(object: BpfObject): bigint {
  const live = new Mapping(object.map(".bss").fd, libc.pageSize, libc.PROT_READ);
  const value = new BigUint64Array(live.buffer, 0, 1)[0] ?? 0n;
  live.close();
  return value;
}

describeKernel("programs", () => {
  test("testRun passes arguments and gives the return value", () =>
    withFixture((object) => {
      const { retval, durationNs } = object.program("fill").testRun([2n ** 64n - 5n, 2n]);
      expect(retval).toBe(7);
      expect(durationNs).toBeGreaterThan(0);
      const value = new Uint8Array(16);
      const key = new Uint8Array(BigUint64Array.of(2n ** 64n - 4n).buffer);
      expect(object.map("table").lookup(key, value)).toBe(true);
      expect([...new BigUint64Array(value.buffer)]).toEqual([1n, 3n]);
    }));

  test("testRun with too few arguments for the program is an error", () =>
    withFixture((object) => {
      expect(() => object.program("fill").testRun([1n])).toThrow("EINVAL");
      expect(() => object.program("fill").testRun(new Array(13).fill(0n))).toThrow(RangeError);
    }));

  test("a raw tracepoint counts while attached", () =>
    withFixture((object) => {
      const link = object.program("on_syscall").attach();
      readFileSync("/proc/self/stat");
      link.destroy();
      link.destroy();
      const counted = hits(object);
      expect(counted).toBeGreaterThan(0n);
      readFileSync("/proc/self/stat");
      expect(hits(object)).toBe(counted);
    }));

  test("a tracepoint attaches by its id, without a mounted tracefs", () =>
    withFixture((object) => {
      const tracefs = openFilesystem("tracefs");
      const id = readFileSync(
        `/proc/self/fd/${tracefs}/events/sched/sched_process_fork/id`,
        "utf8",
      );
      libc.close(tracefs);
      const link = object.program("on_tracepoint").attachPerfEvent(openTracepoint(Number(id)));
      Bun.spawnSync(["true"]);
      link.destroy();
      expect(hits(object)).toBeGreaterThan(0n);
    }));

  test("an unknown tracepoint is an error", () => {
    expect(() => openTracepoint(0x7fff_fff0)).toThrow("open tracepoint");
  });

  test("a program attaches to the root cgroup, without a mounted cgroup2", () =>
    withFixture(async (object) => {
      const cgroup = openFilesystem("cgroup2");
      const link = object.program("on_socket").attachCgroup(cgroup);
      libc.close(cgroup);
      (await Bun.udpSocket({})).close();
      link.destroy();
      expect(hits(object)).toBeGreaterThan(0n);
    }));

  test("attaching to what is no cgroup tells the errno", () =>
    withFixture((object) => {
      const fd = libc.open("/dev/null", libc.O_RDONLY);
      expect(() => object.program("on_socket").attachCgroup(fd)).toThrow("EBADF");
      libc.close(fd);
    }));
});
