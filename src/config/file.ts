import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { PortolanError } from "../model/errors.ts";
import type { Key } from "./key.ts";
import type { Source } from "./resolve.ts";

/**
 * Reads a YAML 1.2 file; `udp: {timeout: 3}` and `udp.timeout: 3` are the same.
 *
 * @throws PortolanError when the file can't be read, isn't YAML, or has an unknown or repeated key.
 */
export function readFile(path: string, keys: readonly Key[]): Source {
  const values = new Map<string, unknown>();
  const collect = (prefix: string, node: object) => {
    for (const [part, value] of Object.entries(node)) {
      const name = prefix + part;
      if (keys.some((key) => key.name === name)) {
        if (values.has(name)) fail(path, `key ${name} is there twice`);
        values.set(name, value);
      } else if (isMapping(value) && keys.some((key) => key.name.startsWith(`${name}.`))) {
        collect(`${name}.`, value);
      } else {
        const known = keys.map((key) => key.name).join(", ");
        fail(
          path,
          `unknown key ${name} with the value ${JSON.stringify(value)}, expected one of ${known}`,
        );
      }
    }
  };
  collect("", parseMapping(path));
  return { kind: "file", values, nameOf: (key) => `${key.name} in ${path}` };
}

function parseMapping(path: string): object {
  const document = parseDocument(readText(path));
  const [error] = document.errors;
  if (error !== undefined) fail(path, (error.message.split("\n")[0] ?? "").replace(/:$/, ""));
  const root: unknown = document.toJS();
  if (root === null) return {};
  return isMapping(root) ? root : fail(path, "expected a mapping of keys to values");
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    fail(path, error instanceof Error ? error.message : String(error));
  }
}

function isMapping(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fail(path: string, reason: string): never {
  throw new PortolanError("read configuration", path, reason);
}
