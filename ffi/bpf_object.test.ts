import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { compileBpf, describeKernel, fixtureBytes, libbpf, openFixture } from "./bpf_fixture.ts";
import { NativeError } from "./errors.ts";

function failure(action: () => unknown): NativeError {
  try {
    action();
  } catch (error) {
    if (error instanceof NativeError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Whether bpftool still finds something; what is closed goes away a little later. */
async function isGone(kind: "prog" | "map", id: number): Promise<boolean> {
  for (let attempt = 0; attempt < 50; attempt++) {
    if (Bun.spawnSync(["bpftool", kind, "show", "id", `${id}`]).exitCode !== 0) return true;
    await Bun.sleep(40);
  }
  return false;
}

test("a truncated object is refused with a reason", () => {
  const bytes = fixtureBytes();
  for (const length of [0, 1, 64, 1000, bytes.length >> 1, bytes.length - 1]) {
    const error = failure(() => libbpf.openObject("cut", bytes.slice(0, length)));
    expect(error.operation).toBe("open BPF object");
    expect(error.object).toBe("cut");
    expect(error.reason).toMatch(length === 0 ? /^it is empty$/ : /elf|section|ELF/);
  }
});

test("an object that is something else is refused", () => {
  const error = failure(() => libbpf.openObject("text", Buffer.from("hello".repeat(100))));
  expect(error.message).toStartWith("open BPF object text: ");
});

test("an opened object lists its programs and maps", () => {
  const object = openFixture();
  expect(object.programs().map((program) => [program.name, program.section])).toEqual([
    ["fill", "raw_tp/sys_enter"],
    ["emit", "raw_tp/sys_enter"],
    ["on_syscall", "raw_tp/sys_enter"],
    ["on_tracepoint", "tracepoint"],
    ["on_socket", "cgroup/sock_create"],
  ]);
  const maps = object.maps().map((map) => map.name);
  expect(maps.sort()).toEqual([".bss", ".rodata", "counts", "ring", "table"]);
  expect(failure(() => object.program("nobody")).reason).toBe("not in object fixture");
  expect(failure(() => object.map("nobody")).object).toBe("nobody");
  object.close();
});

describeKernel("loading", () => {
  test("a program that the verifier rejects: errno and the end of its log", () => {
    const bytes = compileBpf(`
      #include <linux/bpf.h>
      #include <bpf/bpf_helpers.h>
      struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1);
               __type(key, int); __type(value, int); } m SEC(".maps");
      SEC("raw_tp/sys_enter") int bad(void *ctx)
      {
        int key = 0, *value = bpf_map_lookup_elem(&m, &key);
        return *value;
      }
      char LICENSE[] SEC("license") = "GPL";
    `);
    const object = libbpf.openObject("rejected", bytes);
    const error = failure(() => object.load());
    object.close();
    expect(error.operation).toBe("load BPF object");
    expect(error.object).toBe("rejected");
    expect(error.errno).toBe(13);
    expect(error.reason).toContain("permission denied (EACCES): prog 'bad'");
    expect(error.detail).toContain("invalid mem access 'map_value_or_null'");
    expect(error.detail).toContain("failed to load object 'rejected'");
    expect(error.detail?.split("\n").length).toBeLessThan(30);
  });

  test("a program that is switched off is not loaded", () => {
    const object = openFixture();
    object.program("on_socket").setAutoload(false);
    object.load();
    expect(object.program("fill").fd).toBeGreaterThan(2);
    expect(failure(() => object.program("on_socket").fd).object).toBe("on_socket");
    expect(failure(() => object.program("on_socket").attach()).operation).toBe(
      "attach BPF program",
    );
    object.close();
  });

  test("wrong BTF is an error that names it", () => {
    const options = { btfPath: "/nonexistent/btf" };
    const source = `
      #include <linux/bpf.h>
      #include <bpf/bpf_helpers.h>
      #include <bpf/bpf_core_read.h>
      struct task_struct { int tgid; } __attribute__((preserve_access_index));
      SEC("raw_tp/sys_enter") int p(void *ctx)
      {
        return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), tgid);
      }
      char LICENSE[] SEC("license") = "GPL";
    `;
    const object = libbpf.openObject("btf", compileBpf(source), options);
    const error = failure(() => object.load());
    object.close();
    expect(error.errno).toBe(2);
    expect(error.object).toBe("btf with BTF of /nonexistent/btf");
  });

  test("an object opened with a log level tells the verifier's log", () => {
    libbpf.lastLog();
    const object = libbpf.openObject("logged", fixtureBytes(), { logLevel: 1 });
    object.load();
    object.close();
    const log = libbpf.lastLog();
    expect(log).toContain("BEGIN PROG LOAD LOG");
    expect(libbpf.lastLog()).toBe("");
  });

  test("stages: no change after load, no use after close", () => {
    const object = openFixture();
    expect(failure(() => object.map("table").fd).reason).toContain("opened, not loaded");
    object.load();
    expect(failure(() => object.map("table").setMaxEntries(1)).reason).toContain("not opened");
    expect(failure(() => object.map(".rodata").initialValue()).reason).toContain("not opened");
    expect(failure(() => object.program("fill").setAutoload(false)).reason).toContain("not opened");
    object.close();
    object.close();
    expect(failure(() => object.program("fill").testRun()).reason).toContain("closed");
    expect(
      failure(() => object.map("table").readAll({ keys: 0, values: 0, capacity: 0 })).reason,
    ).toContain("closed");
    expect(failure(() => object.map("table").maxEntries).reason).toContain("closed");
  });

  test("20 cycles leave no descriptor, program or map behind", async () => {
    const descriptors = () => readdirSync("/proc/self/fd").length;
    const before = descriptors();
    let program = 0;
    let map = 0;
    for (let cycle = 0; cycle < 20; cycle++) {
      const object = openFixture();
      object.load();
      object.program("on_syscall").attach(); // left to close
      program = object.program("on_syscall").info().id;
      map = object.map("table").info().id;
      object.close();
    }
    expect(descriptors()).toBe(before);
    expect(program).toBeGreaterThan(0);
    expect(await isGone("prog", program)).toBe(true);
    expect(await isGone("map", map)).toBe(true);
  });
});
