import { isAbsolute } from "node:path";
import { PortolanError } from "../model/errors.ts";
import { type Key, valueOfText } from "./key.ts";
import type { Source } from "./resolve.ts";

const PREFIX = "PORTOLAN_";

/**
 * Variables that begin with `PORTOLAN_` and are no keys: the directory of the default socket, switches
 * of development, and what Kubernetes puts into every pod when a service is called "portolan".
 */
const NOT_KEYS =
  /^PORTOLAN_(RUNTIME_DIR|TRACE_FFI|WRITE_DOCS|SERVICE_(HOST|PORT(_.+)?)|PORT(_.+)?)$/;

/**
 * Reads the keys from variables `PORTOLAN_…`; a list is separated by commas or blanks.
 *
 * @throws PortolanError for a variable `PORTOLAN_…` that is no key.
 */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  keys: readonly Key[],
): Source {
  const byName = new Map(keys.map((key) => [key.environment, key]));
  const values = new Map<string, unknown>();
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || NOT_KEYS.test(name) || text === undefined) continue;
    const key = byName.get(name);
    if (key === undefined) {
      throw new PortolanError(
        "read",
        `environment variable ${name}=${JSON.stringify(text)}`,
        `there is no such key, expected one of ${[...byName.keys()].join(", ")}`,
      );
    }
    values.set(key.name, valueOfText(key, text));
  }
  return { kind: "environment", values, nameOf: (key) => key.environment };
}

/**
 * `PORTOLAN_RUNTIME_DIR`, which is no key because it only moves a default.
 *
 * @throws PortolanError when it isn't an absolute path.
 */
export function runtimeDirOf(
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const dir = environment.PORTOLAN_RUNTIME_DIR;
  if (dir === undefined || isAbsolute(dir)) return dir;
  throw new PortolanError(
    "read",
    "PORTOLAN_RUNTIME_DIR",
    `${JSON.stringify(dir)} is not valid, expected an absolute path`,
  );
}
