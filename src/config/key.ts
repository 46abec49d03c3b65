import { z } from "zod";

/** What a user has to know of one key of a flat schema, derived from the schema. */
export interface Key {
  /** As in the schema and in the file: `udp.timeout`. */
  name: string;
  /** `--udp-timeout` */
  flag: string;
  /** `PORTOLAN_UDP_TIMEOUT` */
  environment: string;
  type: "boolean" | "number" | "string" | "list";
  /** Stands for the value in the help; empty for a boolean. */
  placeholder: string;
  description: string;
  /** What a value must be, to be read after "expected". */
  expected: string;
  /** The default as it would be typed; absent when there is none. */
  default?: string;
}

const text = (value: unknown): string | undefined =>
  value === undefined ? undefined : String(value);

/** The keys of a flat object schema, in the order of their declaration. */
export function keysOf(schema: z.ZodObject): Key[] {
  // The JSON schema is zod's public description of itself; walking its internals would not be.
  const properties = z.toJSONSchema(schema, { io: "input" }).properties ?? {};
  return Object.entries(properties).map(([name, property]) => {
    if (typeof property === "boolean") throw new TypeError(`key ${name} has no type`);
    const type = typeOf(property);
    const key: Key = {
      name,
      flag: `--${name.replaceAll(/[._]/g, "-")}`,
      environment: `PORTOLAN_${name.replaceAll(".", "_").toUpperCase()}`,
      type,
      placeholder: text(property.placeholder) ?? (type === "boolean" ? "" : "VALUE"),
      description: property.description ?? "",
      expected: text(property.expected) ?? expectedOf(property),
    };
    const value = property.default;
    // A boolean that is off unless its flag is given needs no telling.
    if (value !== undefined && value !== false) {
      key.default = Array.isArray(value) ? value.join(" ") : String(value);
    }
    return key;
  });
}

function typeOf(property: z.core.JSONSchema.BaseSchema): Key["type"] {
  switch (property.type) {
    case "boolean":
      return "boolean";
    case "integer":
    case "number":
      return "number";
    case "array":
      return "list";
    default:
      return "string";
  }
}

function expectedOf(property: z.core.JSONSchema.BaseSchema): string {
  const choices = property.enum ?? itemChoices(property);
  if (choices !== undefined) return `one of ${choices.join(", ")}`;
  if (property.type === "boolean") return "true or false";
  if (property.type === "integer") {
    return `a whole number from ${property.minimum} to ${property.maximum}`;
  }
  if (property.type === "number") return `a number from ${property.minimum} to ${property.maximum}`;
  return "text";
}

function itemChoices(property: z.core.JSONSchema.BaseSchema): unknown[] | undefined {
  const items = property.items;
  return typeof items === "object" && !Array.isArray(items) ? items.enum : undefined;
}

/**
 * The value that a text stands for. A text that doesn't fit the key's type is returned as it is, so
 * that the schema refuses it like any other bad value.
 */
export function valueOfText(key: Key, value: string): unknown {
  switch (key.type) {
    case "boolean":
      return value === "true" ? true : value === "false" ? false : value;
    case "number":
      return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
    case "list":
      return value.split(/[\s,]+/).filter((part) => part !== "");
    case "string":
      return value;
  }
}
