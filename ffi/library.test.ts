import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { libbpf } from "./bpf_fixture.ts";
import { Libbpf } from "./libbpf.ts";
import { type LibraryImage, openLibrary } from "./library.ts";

/** libbpf and what it needs, as the linker has mapped them for the fixture; dependencies first. */
function images(): LibraryImage[] {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return ["libz", "libelf", "libbpf"].map((name) => {
    const path = maps.match(new RegExp(`/\\S*/${name}[-.]\\S*`))?.[0];
    if (path === undefined) throw new Error(`${name} is not loaded`);
    return { name: basename(path), bytes: new Uint8Array(readFileSync(path)) };
  });
}

function scratch(): string {
  return mkdtempSync(join(tmpdir(), "portolan-ffi-"));
}

test("libraries load from memory, each time anew", () => {
  const descriptors = () => readdirSync("/proc/self/fd").length;
  const before = descriptors();
  const [first, second] = [{ libraries: images() }, { libraries: images() }].map(Libbpf.load);
  expect(first?.version()).toBe(libbpf.version());
  expect(second?.version()).toBe(libbpf.version());
  expect(descriptors()).toBe(before + 6); // kept open: see loadFromMemory
});

test("an image that is no library is named with what the linker says", () => {
  const { TMPDIR } = process.env;
  const directory = scratch();
  process.env.TMPDIR = directory;
  const libraries = [{ name: "libbad.so", bytes: new Uint8Array(5000).fill(65) }];
  expect(() => Libbpf.load({ libraries })).toThrow(/^load library libbad\.so: .*ELF.*; .*ELF/);
  expect(readdirSync(directory)).toEqual([]);
  if (TMPDIR === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = TMPDIR;
  rmSync(directory, { recursive: true });
});

test("no image, no file, the wrong file: each is an error that says so", () => {
  expect(() => Libbpf.load({ libraries: [] })).toThrow("no image of it was given");
  expect(() => Libbpf.load({ path: "/nonexistent/libbpf.so.1" })).toThrow(
    /^load library \/nonexistent\/libbpf.so.1: .*No such file/,
  );
  expect(() => openLibrary("libc", { path: "libc.so.6" }, { nosuch: { args: [] } })).toThrow(
    /^load library libc.so.6: .*nosuch/,
  );
});

/** Refuses memfd_create with EPERM, as a strict container does, and runs its arguments. */
const LAUNCHER = `
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof(code) / sizeof(*code), code };
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  execv(argv[1], argv + 1);
  return 127;
}
`;

test("without memory files libraries load from TMPDIR and leave nothing there", () => {
  const directory = scratch();
  try {
    const source = join(directory, "launcher.c");
    const launcher = join(directory, "launcher");
    writeFileSync(source, LAUNCHER);
    const compiler = Bun.spawnSync(["clang", "-o", launcher, source]);
    expect(compiler.stderr.toString()).toBe("");
    const paths = images().map((image) => {
      writeFileSync(join(directory, image.name), image.bytes);
      return join(directory, image.name);
    });
    const temporary = scratch();
    const script = `
      import { readFileSync } from "node:fs";
      import { basename } from "node:path";
      import { Libbpf } from "${import.meta.dir}/libbpf.ts";
      const libraries = ${JSON.stringify(paths)}.map((path) => {
        return { name: basename(path), bytes: new Uint8Array(readFileSync(path)) };
      });
      console.log(Libbpf.load({ libraries }).version());
    `;
    const child = Bun.spawnSync([launcher, process.execPath, "-e", script], {
      env: { ...process.env, TMPDIR: temporary },
    });
    expect(child.stderr.toString()).toBe("");
    expect(child.stdout.toString()).toBe(`${libbpf.version()}\n`);
    expect(readdirSync(temporary)).toEqual([]);
    rmSync(temporary, { recursive: true });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
