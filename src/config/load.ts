import { readEnvironment, runtimeDirOf } from "./environment.ts";
import { readFile } from "./file.ts";
import { keysOf } from "./key.ts";
import { resolve, type Source } from "./resolve.ts";
import { type Config, configSchema, defaultListen } from "./schema.ts";

/**
 * The configuration: `flags` over `environment` over the file over the defaults.
 *
 * @throws UsageError for a bad flag, PortolanError for anything else; both name key, value and what
 *   was expected.
 */
export function loadConfig(
  flags: Source,
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
): Config {
  const keys = keysOf(configSchema);
  const sources = [flags, readEnvironment(environment, keys)];
  if (file !== undefined) sources.push(readFile(file, keys));
  const runtimeDir = runtimeDirOf(environment);
  if (runtimeDir !== undefined) {
    sources.push({
      kind: "environment",
      values: new Map([["listen", defaultListen(runtimeDir)]]),
      nameOf: () => "PORTOLAN_RUNTIME_DIR",
    });
  }
  return resolve(configSchema, sources);
}
