import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PortolanError } from "../model/errors.ts";
import { UsageError } from "./errors.ts";
import { readFlags } from "./flags.ts";
import { type Key, keysOf } from "./key.ts";
import { loadConfig } from "./load.ts";
import { type Config, configSchema } from "./schema.ts";

const directory = mkdtempSync(join(tmpdir(), "portolan-config-"));
afterAll(() => rmSync(directory, { recursive: true }));

const keys = keysOf(configSchema);

function load(words: string[], environment: Record<string, string> = {}, yaml?: string): Config {
  const file = yaml === undefined ? undefined : join(directory, "portolan.yaml");
  if (file !== undefined && yaml !== undefined) writeFileSync(file, yaml);
  return loadConfig(readFlags(words, keys), environment, file);
}

function failure(action: () => unknown): PortolanError {
  try {
    action();
  } catch (error) {
    if (error instanceof PortolanError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

/** For each key a value that isn't its default, as text, and what it is parsed to. */
const EXAMPLES: { [K in keyof Config]-?: [text: string, value: Config[K]] } = {
  listen: ["[::1]:80", [{ hostname: "::1", port: 80 }]],
  attach: ["tracepoint", "tracepoint"],
  btf: ["/btf", "/btf"],
  libbpf: ["/lib/libbpf.so.1", "/lib/libbpf.so.1"],
  "udp.enabled": ["false", false],
  "udp.timeout": ["7", 7],
  connect_errors: ["true", true],
  max_tracked_connections: ["100", 100],
  max_closed_connections: ["200", 200],
  client_expiry: ["30", 30],
  ring_bytes: ["65536", 65_536],
  log_level: ["debug", "debug"],
};

const yamlOf = (key: Key, text: string) => (key.type === "list" ? `["${text}"]` : text);

test("the defaults", () => {
  expect(load([])).toEqual({
    listen: [{ unix: "/run/portolan/portolan.sock" }, { hostname: "127.0.0.1", port: 7373 }],
    attach: "auto",
    "udp.enabled": true,
    "udp.timeout": 120,
    connect_errors: false,
    max_tracked_connections: 65_536,
    max_closed_connections: 65_536,
    client_expiry: 120,
    ring_bytes: 8_388_608,
    log_level: "info",
  });
});

describe.each(keys)("$name", (key) => {
  const name = key.name as keyof Config;
  const [text, value] = EXAMPLES[name];

  test("as a flag", () => {
    expect(load([`${key.flag}=${text}`])[name]).toEqual(value);
    if (key.type !== "boolean") expect(load([key.flag, text])[name]).toEqual(value);
  });

  test("in the environment", () => {
    expect(load([], { [key.environment]: text })[name]).toEqual(value);
  });

  test("in the file, nested and dotted", () => {
    expect(load([], {}, `${name}: ${yamlOf(key, text)}\n`)[name]).toEqual(value);
    const nested = `${name.replace(".", ": { ")}: ${yamlOf(key, text)}${name.includes(".") ? " }" : ""}\n`;
    expect(load([], {}, nested)[name]).toEqual(value);
  });

  test("a bad value is named with its place and what was expected", () => {
    const bad = key.type === "string" && !key.expected.startsWith("one of") ? "" : "?";
    const badYaml = JSON.stringify(key.type === "list" ? [bad] : bad);
    for (const [error, place] of [
      [failure(() => load([`${key.flag}=${bad}`])), key.flag],
      [failure(() => load([], { [key.environment]: bad })), key.environment],
      [failure(() => load([], {}, `${name}: ${badYaml}`)), `${name} in`],
    ] as const) {
      expect(error.message).toStartWith(`read ${place}`);
      expect(error.message).toContain(
        `${JSON.stringify(bad)} is not valid, expected ${key.expected}`,
      );
    }
  });
});

test("flags win over the environment, which wins over the file", () => {
  const environment = { PORTOLAN_UDP_TIMEOUT: "2", PORTOLAN_CLIENT_EXPIRY: "2" };
  const yaml = "udp.timeout: 3\nclient_expiry: 3\nring_bytes: 4096\n";
  const config = load(["--udp-timeout", "1"], environment, yaml);
  expect(config["udp.timeout"]).toBe(1);
  expect(config.client_expiry).toBe(2);
  expect(config.ring_bytes).toBe(4096);
});

test("the listeners of a flag replace those of the environment", () => {
  const config = load(["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"], {
    PORTOLAN_LISTEN: "127.0.0.1:3",
  });
  expect(config.listen).toEqual([
    { hostname: "127.0.0.1", port: 1 },
    { hostname: "127.0.0.1", port: 2 },
  ]);
});

test("PORTOLAN_RUNTIME_DIR moves the default socket, and only that", () => {
  const environment = { PORTOLAN_RUNTIME_DIR: "/tmp/x" };
  expect(load([], environment).listen[0]).toEqual({ unix: "/tmp/x/portolan.sock" });
  expect(load(["--listen", "127.0.0.1:1"], environment).listen).toHaveLength(1);
  expect(failure(() => load([], { PORTOLAN_RUNTIME_DIR: "x" })).message).toContain('"x"');
});

test("a directory that makes the socket's path too long is named", () => {
  const error = failure(() => load([], { PORTOLAN_RUNTIME_DIR: `/${"x".repeat(100)}` }));
  expect(error.message).toStartWith("read PORTOLAN_RUNTIME_DIR:");
});

test("what Kubernetes sets for a service called portolan is no key", () => {
  const environment = {
    PORTOLAN_SERVICE_HOST: "10.0.0.1",
    PORTOLAN_SERVICE_PORT_HTTP: "7373",
    PORTOLAN_PORT: "tcp://10.0.0.1:7373",
    PORTOLAN_PORT_7373_TCP_ADDR: "10.0.0.1",
  };
  expect(load([], environment)).toEqual(load([]));
});

test.each([
  [["--udp-timeot", "3"], '"--udp-timeot": there is no such flag'],
  [["stray"], '"stray": there is no such argument'],
  [["--udp-timeout"], "--udp-timeout: it needs a value: a whole number from 1 to 86400"],
  [["--udp-timeout", "--connect-errors"], "it needs a value"],
  [["--udp-timeout=0"], "0 is not valid"],
  [["--udp-timeout=1.5"], "1.5 is not valid"],
  [["--udp-timeout=1e3"], '"1e3" is not valid'],
  [["--ring-bytes=12288"], "12288 is not valid, expected a power of two"],
  [["--listen", "127.0.0.1:1", "there:2"], '"there:2" is not valid'],
  [["--connect-errors=yes"], '"yes" is not valid, expected true or false'],
])("%j is a wrong usage", (words, message) => {
  const error = failure(() => load(words));
  expect(error).toBeInstanceOf(UsageError);
  expect(error.message).toContain(message);
});

test("an unknown variable is named with its value", () => {
  const error = failure(() => load([], { PORTOLAN_UDP_TIMEOT: "3" }));
  expect(error).not.toBeInstanceOf(UsageError);
  expect(error.message).toContain('PORTOLAN_UDP_TIMEOT="3"');
  expect(error.message).toContain("PORTOLAN_UDP_TIMEOUT");
});

test.each([
  ["udp:\n  timeot: 3", "unknown key udp.timeot with the value 3, expected one of listen"],
  ["nothing: {a: 1}", 'unknown key nothing with the value {"a":1}'],
  ["udp: 3", "unknown key udp with the value 3"],
  ["udp.timeout: 1\nudp: {timeout: 2}", "key udp.timeout is there twice"],
  ["client_expiry: 1\nclient_expiry: 2", "Map keys must be unique at line 2"],
  ["[1, 2]", "expected a mapping"],
  ["a: [", "at line 1"],
  ["connect_errors: yes", '"yes" is not valid, expected true or false'],
  ["listen: 127.0.0.1:80", '"127.0.0.1:80" is not valid'],
])("the file %j is refused", (yaml, message) => {
  const error = failure(() => load([], {}, yaml));
  expect(error).not.toBeInstanceOf(UsageError);
  expect(error.message).toContain(message);
  expect(error.message).toContain("portolan.yaml");
});

test("an empty file changes nothing; a missing one is an error", () => {
  expect(load([], {}, "# nothing\n")).toEqual(load([]));
  const missing = join(directory, "missing.yaml");
  const error = failure(() => loadConfig(readFlags([], keys), {}, missing));
  expect(error.message).toContain(missing);
  expect(error.message).toContain("ENOENT");
});
