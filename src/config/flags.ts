import { UsageError } from "./errors.ts";
import { type Key, valueOfText } from "./key.ts";
import type { Source } from "./resolve.ts";

/**
 * Reads flags: `--key VALUE` or `--key=VALUE`; a boolean is `--key` or `--key=false`; a list is
 * `--key A --key B`, `--key A B` or `--key A,B`.
 *
 * @throws UsageError for a word that is no flag of `keys`, or a flag without its value.
 */
export function readFlags(words: readonly string[], keys: readonly Key[]): Source {
  const values = new Map<string, unknown>();
  const byFlag = new Map(keys.map((key) => [key.flag, key]));
  const rest = [...words];
  const hasValue = () => rest[0] !== undefined && !rest[0].startsWith("--");
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [flag, attached] = splitOnce(word);
    const key = byFlag.get(flag);
    if (key === undefined) {
      const kind = word.startsWith("-") ? "flag" : "argument";
      throw new UsageError("read", JSON.stringify(word), `there is no such ${kind}`);
    }
    if (key.type === "boolean") {
      values.set(key.name, attached === undefined ? true : valueOfText(key, attached));
      continue;
    }
    const given = attached ?? (hasValue() ? rest.shift() : undefined);
    if (given === undefined) {
      throw new UsageError("read", flag, `it needs a value: ${key.expected}`);
    }
    if (key.type !== "list") {
      values.set(key.name, valueOfText(key, given));
      continue;
    }
    const list = [given];
    while (hasValue()) list.push(rest.shift() ?? "");
    const before = values.get(key.name);
    values.set(key.name, [
      ...(Array.isArray(before) ? before : []),
      ...list.flatMap((part) => valueOfText(key, part)),
    ]);
  }
  return { kind: "flag", values, nameOf: (key) => key.flag };
}

function splitOnce(word: string): [string, string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}
