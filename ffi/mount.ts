import { readFileSync } from "node:fs";
import * as libc from "./libc.ts";
import { addressOf } from "./pointer.ts";

/** System calls of Linux 5.2; numbers from 424 on are the same on every architecture. */
const SYS_fsopen = 430;
const SYS_fsconfig = 431;
const SYS_fsmount = 432;

const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
const MOUNT_ATTR_NOSUID_NODEV_NOEXEC = 2 | 4 | 8;

/** Held here, as the kernel reads it by address. */
const typeName = new Uint8Array(32);

/** The file systems that the tracer needs and that a host may not have mounted. */
export type KernelFilesystem = "cgroup2" | "tracefs";

/**
 * A file descriptor of the root of a kernel file system. It is mounted for this descriptor alone: no
 * process sees a new mount, and the kernel drops it with the last descriptor, also after SIGKILL. The
 * descriptor serves to attach programs to a cgroup, and `/proc/self/fd/N/…` reaches the files within.
 *
 * Where the kernel (before 5.2) or the container refuses that, an existing mount is opened.
 *
 * @throws NativeError when there is neither; the errno is that of the refused mount
 */
export function openFilesystem(type: KernelFilesystem): number {
  try {
    return mountDetached(type);
  } catch (error) {
    const path = findMount(readFileSync("/proc/self/mountinfo", "utf8"), type);
    if (path === undefined) throw error;
    return libc.open(path, libc.O_RDONLY);
  }
}

function mountDetached(type: KernelFilesystem): number {
  const operation = "mount file system";
  typeName.fill(0);
  new TextEncoder().encodeInto(type, typeName);
  const context = libc.syscall(operation, type, SYS_fsopen, addressOf(typeName), FSOPEN_CLOEXEC);
  try {
    libc.syscall(operation, type, SYS_fsconfig, context, FSCONFIG_CMD_CREATE);
    const attributes = MOUNT_ATTR_NOSUID_NODEV_NOEXEC;
    return libc.syscall(operation, type, SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
  } finally {
    libc.close(context);
  }
}

/**
 * The mount point of a whole file system of this type in the text of /proc/self/mountinfo (proc(5)), if
 * there is one. A mount of a part of it, as containers have of the cgroup tree, does not count: its
 * root is not the root.
 */
export function findMount(mountinfo: string, type: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [mount = "", filesystem = ""] = line.split(" - ");
    const [, , , root, path] = mount.split(" ");
    if (filesystem.split(" ")[0] === type && root === "/" && path !== undefined) {
      return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
    }
  }
  return undefined;
}
