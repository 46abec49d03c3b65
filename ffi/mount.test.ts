import { expect, test } from "bun:test";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { describeKernel } from "./bpf_fixture.ts";
import * as libc from "./libc.ts";
import { findMount, openFilesystem } from "./mount.ts";

const CGROUP2_SUPER_MAGIC = 0x63677270;

describeKernel("file systems of the kernel", () => {
  test("are reached through a descriptor, and nobody sees a mount", () => {
    const before = readFileSync("/proc/self/mountinfo", "utf8");
    const cgroup = openFilesystem("cgroup2");
    const tracefs = openFilesystem("tracefs");
    expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
    expect(statfsSync(`/proc/self/fd/${cgroup}/.`).type).toBe(CGROUP2_SUPER_MAGIC);
    expect(existsSync(`/proc/self/fd/${cgroup}/cgroup.procs`)).toBe(true);
    expect(existsSync(`/proc/self/fd/${tracefs}/events/sched/id`)).toBe(false);
    expect(existsSync(`/proc/self/fd/${tracefs}/events/sched/sched_process_exec/id`)).toBe(true);
    libc.close(cgroup);
    libc.close(tracefs);
  });
});

const MOUNTINFO = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 0:38 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw
41 22 0:38 / /mnt/with\\040space/cg\\134x rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw
42 22 0:39 / /sys/kernel/tracing rw - tracefs tracefs rw
`;

test("findMount finds a whole file system by its type", () => {
  expect(findMount(MOUNTINFO, "tracefs")).toBe("/sys/kernel/tracing");
  expect(findMount(MOUNTINFO, "cgroup2")).toBe("/mnt/with space/cg\\x");
  expect(findMount(MOUNTINFO, "cgroup")).toBeUndefined();
  expect(findMount("", "tracefs")).toBeUndefined();
});
