import { lstatSync, mkdirSync, renameSync, rmdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { PortolanError } from "../model/errors.ts";

/** The socket is for root and for a group that the administrator gives it to. */
const SOCKET_UMASK = 0o117;
const DIRECTORY_MODE = 0o750;

/**
 * Makes the path free for a new socket: creates its directory where that is missing, and removes a
 * socket that nobody listens on any more, as a process that was killed leaves it.
 *
 * @returns how to remove the directory again; it does nothing unless it was created here.
 * @throws PortolanError when somebody listens there, or what is there is no socket.
 */
export async function claimPath(path: string): Promise<() => void> {
  let created: string | undefined;
  const giveBack = () => {
    if (created !== undefined) removeDirectory(dirname(path));
  };
  try {
    created = mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    await removeStale(path);
    return giveBack;
  } catch (error) {
    giveBack();
    if (!(error instanceof Error) || error instanceof PortolanError) throw error;
    throw new PortolanError("listen on", `unix:${path}`, error.message);
  }
}

/**
 * Refuses a path on which somebody listens, before any work is done for nothing.
 *
 * @throws PortolanError
 */
export async function refuseIfTaken(path: string): Promise<void> {
  if (await isListening(path)) throw takenError(path);
}

/** Runs `bind` so that the socket that it creates has mode 0660 from its first moment on. */
export function withSocketMode<T>(bind: () => T): T {
  const before = process.umask(SOCKET_UMASK);
  try {
    return bind();
  } finally {
    process.umask(before);
  }
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new PortolanError("listen on", `unix:${path}`, "there is a file that is no socket");
  }
  await refuseIfTaken(path);
  // Another instance may have replaced the stale socket by its own since we looked. So it is moved
  // aside first, and put back if it turns out to be another one than we looked at.
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  const moved = lstatSync(aside, { bigint: true });
  if (moved.ino !== found.ino || moved.mtimeNs !== found.mtimeNs) {
    renameSync(aside, path);
    throw takenError(path);
  }
  unlinkSync(aside);
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      const code = codeOf(error);
      if (code === "ECONNREFUSED" || code === "ENOENT") resolve(false);
      // The queue of a listener that is busy is full.
      else if (code === "EAGAIN") resolve(true);
      else reject(new PortolanError("listen on", `unix:${path}`, error.message));
    });
  });
}

function takenError(path: string): PortolanError {
  return new PortolanError("listen on", `unix:${path}`, `another Portolan is running on ${path}`);
}

/** Leaves a directory that somebody else has put something into. */
function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "ENOENT") throw error;
  }
}

/** The name of the errno that a failed system call threw: "ENOENT". */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
