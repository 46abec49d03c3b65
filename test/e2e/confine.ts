/** Commands that take something away from the tracer and then become it. */
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { command } from "../integration/namespaces.ts";

const OUTPUT = join(import.meta.dir, "../../dist/test");

/** A mount namespace of its own, in which `script` has run; the mounts are gone with the process. */
export function withMounts(script: string): string[] {
  return ["unshare", "--mount", "sh", "-ec", `${script}\nexec "$@"`, "sh"];
}

/** Hides what is below a directory. */
export function hiding(directory: string): string[] {
  return withMounts(`mount -t tmpfs none ${directory}`);
}

let compiled: Promise<string> | undefined;

/** Makes system calls fail with EPERM, as the filters of containers do. */
export async function refusing(...calls: string[]): Promise<string[]> {
  compiled ??= (async () => {
    mkdirSync(OUTPUT, { recursive: true });
    const path = join(OUTPUT, "refuse");
    const fresh = `${path}.${process.pid}`;
    const source = join(import.meta.dir, "refuse.c");
    await command("clang", "-std=gnu17", "-O2", "-Wall", "-Werror", "-o", fresh, source);
    renameSync(fresh, path);
    return path;
  })();
  return [await compiled, ...calls, "--"];
}

/** The user of least rights. */
export const AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];

/**
 * A root directory at `root` with the executable and glibc, and nothing else: no libbpf, no /tmp. `needed` is what
 * `ldd` says of the executable.
 */
export function chroot(root: string, executable: string, needed: string): string[] {
  const libraries = [...needed.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, path]) => path);
  const copies = libraries.map(
    (path) => `mkdir -p ${root}$(dirname ${path}); cp -L ${path} ${root}${path}`,
  );
  return withMounts(
    [
      `mkdir -p ${root}`,
      `mount -t tmpfs none ${root}`,
      ...copies,
      `mkdir ${root}/proc ${root}/sys`,
      `mount --rbind /proc ${root}/proc`,
      `mount --rbind /sys ${root}/sys`,
      `touch ${root}/portolan`,
      `mount --bind ${executable} ${root}/portolan`,
      `set -- chroot ${root} "$@"`,
    ].join("\n"),
  );
}
