import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import * as libc from "./libc.ts";
import { Mapping } from "./mapping.ts";

test("the errno of a failed call is that of the call", () => {
  expect(() => libc.open("/nonexistent", libc.O_RDONLY)).toThrow(
    "open /nonexistent: no such file or directory (ENOENT)",
  );
  expect(() => libc.close(1_000_000)).toThrow("EBADF");
  expect(() => libc.mmap(1_000_000, libc.pageSize, libc.PROT_READ, 0)).toThrow("EBADF");
  expect(() => libc.setns(1_000_000, 0)).toThrow("EBADF");
  expect(() => libc.syscall("call", "nothing", 100_000)).toThrow("call nothing: ");
});

test("a memory file is written, mapped and read", () => {
  const fd = libc.memfdCreate("test", libc.MFD_CLOEXEC);
  libc.write(fd, new Uint8Array(libc.pageSize).fill(7));
  const mapping = new Mapping(fd, libc.pageSize, libc.PROT_READ | libc.PROT_WRITE);
  const view = new Uint8Array(mapping.buffer);
  expect(view[libc.pageSize - 1]).toBe(7);
  view[0] = 9;
  mapping.close();
  mapping.close();
  const path = `/proc/self/fd/${fd}`;
  expect(readFileSync(path)[0]).toBe(9);
  const again = libc.open(path, libc.O_RDONLY);
  const bytes = new Uint8Array(2);
  expect(libc.read(again, bytes)).toBe(2);
  expect([...bytes]).toEqual([9, 7]);
  libc.close(again);
  libc.close(fd);
});

test("descriptors are not inherited by children", () => {
  const fd = libc.eventfd();
  const target = readlinkSync(`/proc/self/fd/${fd}`);
  const child = Bun.spawnSync(["ls", "-l", "/proc/self/fd"]);
  expect(child.stdout.toString()).not.toContain(target);
  libc.close(fd);
});

test("poll tells which descriptors are readable", () => {
  const [first, second] = [libc.eventfd(), libc.eventfd()];
  expect(libc.poll([first, second], 0)).toEqual([]);
  const start = libc.monotonicNow();
  expect(libc.poll([first], 20)).toEqual([]);
  expect(libc.monotonicNow() - start).toBeGreaterThan(19_000_000n);
  libc.write(second, new Uint8Array(BigUint64Array.of(5n).buffer));
  expect(libc.poll([first, second], 1000)).toEqual([second]);
  const counter = new BigUint64Array(1);
  expect(libc.read(second, counter)).toBe(8);
  expect(counter[0]).toBe(5n);
  libc.close(first);
  libc.close(second);
});

test("the monotonic clock is the kernel's", () => {
  const before = libc.monotonicNow();
  // CLOCK_BOOTTIME, which is ahead of it by the time spent suspended.
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  expect(Number(before) / 1e9).toBeLessThanOrEqual(uptime + 0.02);
  expect(libc.monotonicNow()).toBeGreaterThanOrEqual(before);
});

test.skipIf(process.geteuid?.() !== 0)("setns takes the namespace that it is given", () => {
  const CLONE_NEWNET = 0x4000_0000;
  const CLONE_NEWUTS = 0x0400_0000;
  const fd = openSync("/proc/thread-self/ns/net", "r");
  libc.setns(fd, CLONE_NEWNET);
  expect(() => libc.setns(fd, CLONE_NEWUTS)).toThrow("EINVAL");
  closeSync(fd);
});

test("socket opens one", () => {
  const [AF_UNIX, SOCK_STREAM] = [1, 1];
  const fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
  expect(readlinkSync(`/proc/self/fd/${fd}`)).toStartWith("socket:");
  libc.close(fd);
  expect(() => libc.socket(AF_UNIX, 99, 0)).toThrow("open socket");
});
