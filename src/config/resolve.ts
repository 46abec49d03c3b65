import type { z } from "zod";
import { PortolanError } from "../model/errors.ts";
import { UsageError } from "./errors.ts";
import { type Key, keysOf } from "./key.ts";

/** One place that values come from. */
export interface Source {
  kind: "flag" | "environment" | "file";
  /** By key name, of the type that the schema takes as input. */
  values: ReadonlyMap<string, unknown>;
  /** How this source calls a key, for error messages: `--udp-timeout`. */
  nameOf(key: Key): string;
}

/**
 * Parses what the sources say, earlier ones winning, and fills in the defaults.
 *
 * @throws UsageError for a bad value of a flag, PortolanError for one of another source.
 */
export function resolve<S extends z.ZodObject>(schema: S, sources: readonly Source[]): z.output<S> {
  const given = new Map<string, unknown>();
  for (const source of [...sources].reverse()) {
    for (const [name, value] of source.values) given.set(name, value);
  }
  const result = schema.safeParse(Object.fromEntries(given));
  if (result.success) return result.data;

  const [name, index] = result.error.issues[0]?.path ?? [];
  const source = sources.find((candidate) => candidate.values.has(String(name)));
  const key = keysOf(schema).find((candidate) => candidate.name === name);
  if (source === undefined || key === undefined) throw result.error;
  const value = given.get(key.name);
  const culprit = Array.isArray(value) && typeof index === "number" ? value[index] : value;
  const Failure = source.kind === "flag" ? UsageError : PortolanError;
  throw new Failure(
    "read",
    source.nameOf(key),
    `${JSON.stringify(culprit)} is not valid, expected ${key.expected}`,
  );
}
