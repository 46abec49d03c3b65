#!/usr/bin/env bun
/**
 * Builds dist/portolan and all it embeds, each part only when an input is newer than its output:
 *
 *   ffi/layout.gen.ts       offsets and constants of bpf/abi.h, from its BTF
 *   dist/bpf/NAME.bpf.o     every bpf/NAME.bpf.c, CO-RE, with BTF and without DWARF; and NAME.plain.bpf.o
 *   dist/wasm/state.wasm    all of src/wasm/*.c
 *   dist/lib/               libbpf and what it needs beyond glibc, and the order to load them in
 *   dist/portolan           src/main.ts, its workers and all of the above in one executable
 *
 * Each output is written under a temporary name and renamed, so that an interrupted build leaves no half of a file.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

const root = import.meta.dir;
const dist = join(root, "dist");

const ARCHITECTURES: Record<string, { target: string; include: string } | undefined> = {
  x64: { target: "x86", include: "/usr/include/x86_64-linux-gnu" },
  arm64: { target: "arm64", include: "/usr/include/aarch64-linux-gnu" },
};

/** A step that failed in a way its tool has already explained, or that needs one line of explanation. */
class BuildError extends Error {}

// --- Files and commands -------------------------------------------------------------------------

/** Modification time in ms, 0 for a file that does not exist: older than anything. */
function mtime(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Files below `dir` whose path ends in one of `suffixes`, sorted, as absolute paths. */
function files(dir: string, ...suffixes: string[]): string[] {
  const path = join(root, dir);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => suffixes.some((suffix) => name.endsWith(suffix)))
    .sort()
    .map((name) => join(path, name));
}

/** Runs a tool to its end and returns its standard output; its messages go to our own stderr. */
function run(command: string, args: string[], input = ""): string {
  const found = Bun.which(command);
  if (found === null) throw new BuildError(`${command} is not installed; .ci/setup installs it`);
  const child = Bun.spawnSync([found, ...args], {
    cwd: root,
    stdin: Buffer.from(input),
    stderr: "inherit",
  });
  if (child.exitCode !== 0) throw new BuildError(`failed: ${command} ${args.join(" ")}`);
  return child.stdout.toString();
}

/** Makes `output` by `write(temporary path)` if it is not newer than all of `inputs` and this file. */
function make(output: string, inputs: string[], write: (path: string) => void): void {
  const made = mtime(output);
  if (made > 0 && [import.meta.path, ...inputs].every((input) => mtime(input) < made)) return;
  console.error(`build: ${output.slice(root.length + 1)}`);
  mkdirSync(dirname(output), { recursive: true });
  mkdirSync(dist, { recursive: true });
  const scratch = mkdtempSync(join(dist, ".build-"));
  try {
    const started = new Date();
    const temporary = join(scratch, basename(output));
    write(temporary);
    utimesSync(temporary, started, started); // an input saved while the tool ran is newer than its output
    renameSync(temporary, output);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Deletes what an earlier build left in `dir` and this one would not make: everything there is embedded. */
function prune(dir: string, keep: string[]): void {
  for (const path of files(dir, "")) if (!keep.includes(path)) rmSync(path);
}

// --- Kernel programs ----------------------------------------------------------------------------

/** Compiles C to a BPF object. `-mcpu=v3` needs Linux 5.1 and gives 32-bit ALU operations, which clang 14 leaves off. */
function compileBpf(source: string, output: string, define: string[] = [], input = ""): void {
  const arch = ARCHITECTURES[process.arch];
  if (arch === undefined) throw new BuildError(`no BPF target is known for ${process.arch}`);
  const flags = ["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-Wall", "-Werror"];
  const defines = [`-D__TARGET_ARCH_${arch.target}`, ...define];
  const includes = ["-isystem", arch.include, "-I", "bpf"];
  run("clang", [...flags, ...defines, ...includes, "-x", "c", "-c", source, "-o", output], input);
}

/**
 * dist/bpf/*.bpf.o, and *.plain.bpf.o for BTF that comes from a file (PLAIN_READS of bpf/kernel.h). `-g` is there for
 * BTF alone: DWARF, four fifths of an object, is stripped again.
 */
function buildBpf(): string[] {
  const headers = files("bpf", ".h");
  const variants = { ".bpf.o": [], ".plain.bpf.o": ["-DPLAIN_READS"] };
  const objects = files("bpf", ".bpf.c").flatMap((source) =>
    Object.entries(variants).map(([suffix, defines]) => {
      const object = join(dist, "bpf", basename(source).replace(/\.bpf\.c$/, suffix));
      make(object, [source, ...headers], (path) => {
        compileBpf(source, path, defines);
        run("llvm-strip", ["--strip-debug", path]);
      });
      return object;
    }),
  );
  prune("dist/bpf", objects);
  return objects;
}

// --- ffi/layout.gen.ts --------------------------------------------------------------------------

/** What `bpftool btf dump -j` prints of a type, as far as it is used here. */
interface BtfType {
  kind: string;
  name: string;
  size?: number;
  members?: { name: string; bits_offset: number }[];
  values?: { name: string; val: number }[];
}

/**
 * ffi/layout.gen.ts, from the BTF of a program that does nothing but mention every struct and enum of bpf/abi.h.
 * The objects of bpf/ would not do: the compiler leaves out of an object's BTF what that object does not use.
 */
function buildLayout(): void {
  const abi = join(root, "bpf/abi.h");
  make(join(root, "ffi/layout.gen.ts"), [abi], (path) => {
    const declared = readFileSync(abi, "utf8").matchAll(/^(struct|enum) (\w+) \{$/gm);
    const tags = [...declared].map(([, keyword = "", name = ""]) => ({ keyword, name }));
    const mentions = tags.map(({ keyword, name }) => `${keyword} ${name} mention_${name};\n`);
    const object = `${path}.o`;
    compileBpf("-", object, [], `#include <linux/types.h>\n#include "abi.h"\n${mentions.join("")}`);
    const btf = JSON.parse(run("bpftool", ["-j", "btf", "dump", "file", object]));
    const types: BtfType[] = btf.types;
    const blocks = tags.map((tag) => layoutOf(tag, types));
    writeFileSync(path, [`${LAYOUT_HEADER}\n`, ...blocks].join("\n"));
  });
}

const LAYOUT_HEADER = `\
/**
 * Generated from the BTF of bpf/abi.h by build.ts: byte offsets of the fields of each struct with its \`size\` in
 * bytes, and the members of each enum, under their C names.
 */`;

/** One `export const` of the layout file. */
function layoutOf(tag: { keyword: string; name: string }, types: BtfType[]): string {
  const type = types.find(
    ({ kind, name }) => kind === tag.keyword.toUpperCase() && name === tag.name,
  );
  if (type === undefined)
    throw new BuildError(`no BTF for ${tag.keyword} ${tag.name} of bpf/abi.h`);
  const entries = (type.values ?? []).map(({ name, val }) => [name, val] as const);
  for (const { name, bits_offset } of type.members ?? []) {
    if (name === "size" || bits_offset % 8 !== 0) {
      throw new BuildError(`bpf/abi.h: ${tag.name}.${name} cannot be told as a byte offset`);
    }
    entries.push([name, bits_offset / 8]);
  }
  if (tag.keyword === "struct") entries.unshift(["size", type.size ?? 0]);
  const camelCase = tag.name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  const lines = entries.map(([name, value]) => `  ${name}: ${value},\n`).join("");
  return `export const ${camelCase} = {\n${lines}} as const;\n`;
}

// --- WebAssembly --------------------------------------------------------------------------------

/**
 * dist/wasm/state.wasm: one module, because its parts share one memory. The memory is the host's (`--import-memory`),
 * which lets the kernel write into it before any of this code has run.
 */
function buildWasm(): string[] {
  const sources = files("src/wasm", ".c");
  const module = join(dist, "wasm/state.wasm");
  if (sources.length === 0) return [];
  make(module, [...sources, ...files("src/wasm", ".h"), ...files("bpf", "abi.h")], (path) => {
    const code = ["--target=wasm32", "-O3", "-msimd128", "-mbulk-memory", "-Wall", "-Werror"];
    const link = ["-nostdlib", "-fno-builtin", "-Wl,--no-entry", "-Wl,--export-dynamic"];
    run("clang", [...code, ...link, "-Wl,--import-memory", "-o", path, ...sources]);
  });
  return [module];
}

// --- Native libraries ---------------------------------------------------------------------------

/** Parts of glibc, which the executable needs anyhow, and the kernel's vDSO. */
const GLIBC = /^(linux-vdso|ld-linux.*|libc|libm|libdl|libpthread|librt)\.so/;

/** Paths of `library` and all it needs beyond glibc, each after those that it needs itself. */
function loadOrder(library: string, order: string[] = []): string[] {
  for (const [, name = "", path = ""] of run("ldd", [library]).matchAll(/(\S+) => (\S+)/g)) {
    if (path === "not") throw new BuildError(`${library} needs ${name}, which is not installed`);
    if (!GLIBC.test(name) && !order.includes(path)) loadOrder(path, order);
  }
  if (!order.includes(library)) order.push(library);
  return order;
}

/**
 * dist/lib: the distribution's libbpf and what it needs, as they are, with `order` naming them in load order. A libbpf
 * of our own, linked from static libraries, was rejected: Debian's archives are not position-independent, and the LGPL
 * is better served by a library that is the distribution's own. NOTICE.md tells their licences.
 */
function buildLibraries(): string[] {
  const libbpf = run("clang", ["-print-file-name=libbpf.so.1"]).trim();
  if (!existsSync(libbpf)) throw new BuildError("libbpf.so.1 is not installed; .ci/setup does it");
  const order = join(dist, "lib/order");
  const copies = () =>
    readFileSync(order, "utf8")
      .trimEnd()
      .split("\n")
      .map((name) => join(dist, "lib", name));
  make(order, [libbpf], (path) => {
    const libraries = loadOrder(libbpf);
    mkdirSync(dirname(order), { recursive: true });
    for (const library of libraries) copyFileSync(library, join(dist, "lib", basename(library)));
    writeFileSync(path, `${libraries.map((library) => basename(library)).join("\n")}\n`);
  });
  prune("dist/lib", [order, ...copies()]);
  return [order, ...copies()];
}

// --- The executable -----------------------------------------------------------------------------

/**
 * dist/portolan. It starts as root in directories it does not know, so it reads no `.env` or `bunfig.toml` from them
 * and refuses code that was not compiled in. `--entry-naming` puts every entry point at the root of the embedded file
 * system: a module bundled into one finds a worker beside itself, as it does in src/. It must never be stripped: the
 * program is appended to the Bun executable and strip cuts it off.
 */
function buildExecutable(embedded: string[]): void {
  const sources = [...files("src", ".ts"), ...files("ffi", ".ts")];
  const inputs = [...embedded, ...sources.filter((path) => !path.endsWith(".test.ts"))];
  const assets = ["bpf", "wasm", "lib"].map((name) => join(dist, name)); // their times tell of deletions
  inputs.push(...assets, join(root, "package-lock.json"), join(root, "package.json"));
  make(join(dist, "portolan"), inputs, (path) => {
    const hardening = [
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
      "--compile-exec-argv=--disallow-code-generation-from-strings=strict",
    ];
    const output = ["--minify", "--bytecode", "--format=esm", "--entry-naming=[name].[ext]"];
    const entries = ["src/main.ts", ...files("src", ".worker.ts")];
    const bun = process.execPath;
    run(bun, [
      "build",
      "--compile",
      ...output,
      ...hardening,
      ...assets.flatMap((path) => ["--asset", path]),
      ...entries,
      "--outfile",
      path,
    ]);
  });
}

try {
  process.env.PATH += ":/usr/sbin:/sbin"; // bpftool's place, which is not on every user's path
  buildLayout();
  buildExecutable([...buildBpf(), ...buildWasm(), ...buildLibraries()]);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`build: ${error.message}`);
  process.exit(1);
}
