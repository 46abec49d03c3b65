import { readFileSync } from "node:fs";
import { PortolanError } from "./model/errors.ts";

/**
 * The files that build.ts makes for the program to load at run time. In the executable they are in Bun's embedded
 * file system, whose root holds each directory that build.ts names with `--asset`; when run from source, in dist/.
 * `import ... with { type: "file" }` was rejected: it needs a generated module, for which libraries there are depends
 * on the machine.
 */
const root = import.meta.dir.startsWith("/$bunfs/") ? "/$bunfs/root" : `${import.meta.dir}/../dist`;

/** A shared object, by the file name under which it was found on the machine that built it. */
export interface SharedLibrary {
  name: string;
  bytes: Uint8Array;
}

/** The ELF object of bpf/`name`.bpf.c. Throws a PortolanError when there is none. */
export function bpfObject(name: string): Uint8Array {
  return read("bpf", `${name}.bpf.o`);
}

/** The module `name`, compiled now, on this thread. Throws a PortolanError when there is none. */
export function wasmModule(name: string): WebAssembly.Module {
  return new WebAssembly.Module(read("wasm", `${name}.wasm`));
}

/** libbpf and what it needs beyond glibc, in load order: dependencies first, libbpf last. */
export function sharedLibraries(): SharedLibrary[] {
  const order = new TextDecoder().decode(read("lib", "order"));
  return order
    .trimEnd()
    .split("\n")
    .map((name) => ({ name, bytes: read("lib", name) }));
}

function read(directory: string, file: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(readFileSync(`${root}/${directory}/${file}`));
  } catch (error) {
    const { message, errno = 0 } = error as NodeJS.ErrnoException;
    throw new PortolanError("read embedded file", `${directory}/${file}`, message, -errno);
  }
}
