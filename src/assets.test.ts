import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { bpfObject, sharedLibraries, wasmModule } from "./assets.ts";
import { PortolanError } from "./model/errors.ts";

const ELF_MAGIC = new Uint8Array([0x7f, 0x45, 0x4c, 0x46]);
const EM_BPF = 247;

describe("bpfObject", () => {
  const sources = readdirSync(`${import.meta.dir}/../bpf`).filter((name) =>
    name.endsWith(".bpf.c"),
  );

  test.each(sources)("has the object of bpf/%s, with BTF and without DWARF", (source) => {
    const object = bpfObject(source.replace(/\.bpf\.c$/, ""));
    expect(object.subarray(0, 4)).toEqual(ELF_MAGIC);
    expect(object[18]).toBe(EM_BPF);
    const text = Buffer.from(object).toString("latin1");
    expect(text).toContain(".BTF.ext");
    expect(text).not.toContain(".debug_info");
  });

  test("names the object that is missing, and why", () => {
    const error = thrownBy(() => bpfObject("no_such_program"));
    expect(error.operation).toBe("read embedded file");
    expect(error.object).toBe("bpf/no_such_program.bpf.o");
    expect(error.errno).toBe(2);
  });
});

describe("wasmModule", () => {
  test("gives a module that takes its memory from the host", () => {
    const imports = WebAssembly.Module.imports(wasmModule("state"));
    expect(imports).toContainEqual({ module: "env", name: "memory", kind: "memory" });
  });

  test("names the module that is missing", () => {
    expect(thrownBy(() => wasmModule("no_such_module")).object).toBe("wasm/no_such_module.wasm");
  });
});

describe("sharedLibraries", () => {
  test("gives libbpf last, after what it needs", () => {
    const libraries = sharedLibraries();
    expect(libraries.at(-1)?.name).toStartWith("libbpf.so");
    for (const { bytes } of libraries) expect(bytes.subarray(0, 4)).toEqual(ELF_MAGIC);
    const names = libraries.map(({ name }) => name);
    const libelf = names.findIndex((name) => name.startsWith("libelf.so"));
    const zlib = names.findIndex((name) => name.startsWith("libz.so"));
    expect(zlib).toBeGreaterThanOrEqual(0);
    expect(libelf).toBeGreaterThan(zlib);
  });

  test("holds nothing of glibc: its parts must be those of the system that runs us", () => {
    for (const { name } of sharedLibraries()) expect(name).not.toMatch(/^(libc|libm|ld-)/);
  });
});

function thrownBy(action: () => unknown): PortolanError {
  try {
    action();
  } catch (error) {
    if (error instanceof PortolanError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
