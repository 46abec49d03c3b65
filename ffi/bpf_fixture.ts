/** What the tests of ffi/ share: a BPF object of their own, compiled on the spot. */
import { describe } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BpfObject } from "./bpf_object.ts";
import { Libbpf } from "./libbpf.ts";

/** A group of tests that loads programs into the kernel; skipped, and named so, without root. */
export function describeKernel(name: string, tests: () => void): void {
  const privileged = process.geteuid?.() === 0;
  describe.skipIf(!privileged)(privileged ? name : `${name} (needs root)`, tests);
}

/** The libbpf of the build machine, wherever the dynamic linker finds it. */
export const libbpf = Libbpf.load({ path: "libbpf.so.1" });

/** Compiles C to a BPF object. */
export function compileBpf(source: string): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), "portolan-ffi-"));
  try {
    const [input, output] = [join(directory, "test.bpf.c"), join(directory, "test.bpf.o")];
    writeFileSync(input, source);
    const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
    const flags = ["-target", "bpf", "-g", "-O2", "-mcpu=v3", "-Wall", "-Werror"];
    const include = `-I/usr/include/${machine}-linux-gnu`;
    const clang = Bun.spawnSync(["clang", ...flags, include, "-c", input, "-o", output]);
    if (clang.exitCode !== 0) throw new Error(clang.stderr.toString());
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Capacity of the fixture's map `table`. */
export const TABLE_CAPACITY = 120_000;

/** Bytes of the fixture's map `ring`. */
export const RING_BYTES = 64 * 1024;

const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, ${TABLE_CAPACITY});
  __type(key, __u64);
  __type(value, __u64[2]);
} table SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, ${RING_BYTES});
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} counts SEC(".maps");

const volatile __u64 factor = 1;
const volatile __u32 target = 0;
__u64 hits = 0;

/* Writes args[0] + i => {i, i * factor} for i below args[1]. */
SEC("raw_tp/sys_enter")
int fill(__u64 *args)
{
  __u64 first = args[0], count = args[1];
  for (__u32 i = 0; i < 4096 && i < count; i++) {
    __u64 key = first + i, value[2] = { i, i * factor };
    bpf_map_update_elem(&table, &key, value, BPF_ANY);
  }
  return 7;
}

/* Puts the number args[0] on the ring, args[1] bytes long; args[2]: then gives it up. */
SEC("raw_tp/sys_enter")
int emit(__u64 *args)
{
  __u64 number = args[0];
  __u64 *record = args[1] == 8 ? bpf_ringbuf_reserve(&ring, 8, 0)
                               : bpf_ringbuf_reserve(&ring, 40, 0);
  if (!record)
    return 0;
  *record = number;
  if (args[2])
    bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
  else
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
  return 1;
}

static int hit(void)
{
  __u32 zero = 0, *count;
  if (bpf_get_current_pid_tgid() >> 32 != target)
    return 1;
  __sync_fetch_and_add(&hits, 1);
  count = bpf_map_lookup_elem(&counts, &zero);
  if (count)
    (*count)++;
  return 1;
}

SEC("raw_tp/sys_enter")
int on_syscall(void *ctx) { return hit(); }

SEC("tracepoint")
int on_tracepoint(void *ctx) { return hit(); }

SEC("cgroup/sock_create")
int on_socket(void *ctx) { return hit(); }

char LICENSE[] SEC("license") = "GPL";
`;

let compiled: Uint8Array | undefined;

/** The bytes of the fixture; compiled once. */
export function fixtureBytes(): Uint8Array {
  compiled ??= compileBpf(SOURCE);
  return compiled;
}

/** The fixture, opened; programs that react to hooks look at this process only. */
export function openFixture(): BpfObject {
  const object = libbpf.openObject("fixture", fixtureBytes());
  const constants = object.map(".rodata").initialValue();
  const view = new DataView(constants.buffer, constants.byteOffset);
  view.setBigUint64(0, 3n, true);
  view.setUint32(8, process.pid, true);
  return object;
}

/** Runs `use` on the loaded fixture and closes it. */
export async function withFixture(use: (object: BpfObject) => void | Promise<void>): Promise<void> {
  const object = openFixture();
  try {
    object.load();
    await use(object);
  } finally {
    object.close();
  }
}
