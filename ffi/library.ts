import { dlopen, type FFIFunction } from "bun:ffi";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeError } from "./errors.ts";
import * as libc from "./libc.ts";
import { traced } from "./trace.ts";

const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;

/**
 * The loader itself. In libdl rather than libc, where it lives only since glibc 2.34; libdl.so.2 still
 * leads there. Bun's own dlopen asks for at least one symbol, and dependencies have none that we call.
 */
const loader = dlopen("libdl.so.2", {
  dlopen: { args: ["cstring", "i32"], returns: "ptr" },
  dlerror: { args: [], returns: "cstring" },
}).symbols;

/** A shared object that travels inside the executable. */
export interface LibraryImage {
  /** File name, for messages. */
  name: string;
  bytes: Uint8Array;
}

/** Where a library comes from: images in load order, the wanted one last, or a file of the user's. */
export type LibrarySource = { libraries: readonly LibraryImage[] } | { path: string };

/**
 * Loads a library and what it depends on, and binds `symbols` of it. Images are loaded from memory:
 * they work without a writable file system and nobody can replace them on the way. Each call makes
 * instances of its own, which stay until the process ends.
 *
 * @throws NativeError that names the library and what the dynamic linker said
 */
export function openLibrary<Symbols extends Record<string, FFIFunction>>(
  name: string,
  source: LibrarySource,
  symbols: Symbols,
) {
  const path = "path" in source ? source.path : source.libraries.map(loadImage).at(-1);
  if (path === undefined) throw new NativeError("load library", name, "no image of it was given");
  try {
    return traced(name, dlopen(path, symbols).symbols);
  } catch (error) {
    throw new NativeError("load library", "path" in source ? path : name, messageOf(error));
  }
}

/** Loads an image and returns the path under which the dynamic linker knows it from now on. */
function loadImage(image: LibraryImage): string {
  try {
    return loadFromMemory(image);
  } catch (memoryError) {
    try {
      return loadFromDirectory(image);
    } catch (fileError) {
      const reason = `${messageOf(memoryError)}; ${messageOf(fileError)}`;
      throw new NativeError("load library", image.name, reason);
    }
  }
}

/**
 * The descriptor of a loaded library is never closed: the next memory file would get its number, and
 * the linker, which knows libraries by path, would take the old library for the new one.
 */
function loadFromMemory(image: LibraryImage): string {
  const fd = createMemoryFile(image.name);
  try {
    libc.write(fd, image.bytes);
    const path = `/proc/self/fd/${fd}`;
    load(path);
    return path;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function createMemoryFile(name: string): number {
  try {
    // Sealed against execve, which vm.memfd_noexec=2 demands and mapping code does not mind.
    return libc.memfdCreate(name, libc.MFD_CLOEXEC | libc.MFD_NOEXEC_SEAL);
  } catch (error) {
    const unknownFlag = error instanceof NativeError && error.errno === libc.EINVAL;
    if (!unknownFlag) throw error;
    return libc.memfdCreate(name, libc.MFD_CLOEXEC); // before Linux 6.3
  }
}

/**
 * For hosts whose security policy forbids code from memory files. The file goes at once; the linker
 * finds what is loaded by its path and does not look at the file again.
 */
function loadFromDirectory(image: LibraryImage): string {
  const directory = mkdtempSync(join(tmpdir(), "portolan-"));
  try {
    const path = join(directory, image.name);
    writeFileSync(path, image.bytes, { mode: 0o600 });
    load(path);
    return path;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function load(path: string): void {
  if (loader.dlopen(path, RTLD_NOW | RTLD_GLOBAL) !== null) return;
  throw new Error(loader.dlerror() ?? `cannot load ${path}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
