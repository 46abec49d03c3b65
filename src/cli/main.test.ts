/** The command line as a user types it, against a Portolan whose collector is played by the test. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keysOf } from "../config/key.ts";
import { configSchema } from "../config/schema.ts";
import { type Collector, createApp } from "../http/app.ts";
import { type Listener, openListeners } from "../http/listener.ts";
import { PortolanError } from "../model/errors.ts";
import { Logger } from "../telemetry/logger.ts";
import type { CollectorQuestion } from "../tracer/protocol.ts";
import { VERSION } from "../version.ts";
import { main } from "./main.ts";
import { greeting } from "./run.ts";

const root = mkdtempSync(join(tmpdir(), "portolan-cli-"));
const environment = { PORTOLAN_RUNTIME_DIR: root };
const questions: CollectorQuestion[] = [];
let failure: Error | undefined;
let listeners: Listener[] = [];

const collector: Collector = {
  unavailable: undefined,
  ask: async (question) => {
    questions.push(question);
    return question.type === "status" ? { tables: [{ name: "t" }] } : { of: question.type };
  },
  stream: async (question) => {
    questions.push(question);
    if (failure !== undefined) throw failure;
    return new Blob(['{"conns":[]}']).stream();
  },
};

beforeAll(async () => {
  const app = createApp(collector, new Logger("error", () => {}));
  const socket = join(root, "portolan.sock");
  listeners = await openListeners([{ unix: socket }], (request) => app.fetch(request));
});
afterAll(async () => {
  await Promise.all(listeners.map((listener) => listener.stop()));
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  questions.length = 0;
  failure = undefined;
});

async function portolan(words: string[], env: NodeJS.ProcessEnv = environment) {
  let [out, err] = ["", ""];
  const decoder = new TextDecoder();
  const output = {
    isTerminal: false,
    width: 120,
    write: async (chunk: string | Uint8Array) => {
      out += typeof chunk === "string" ? chunk : decoder.decode(chunk);
    },
  };
  const code = await main(words, env, output, (text) => {
    err += text;
  });
  return { code, out, err };
}

test("--version", async () => {
  expect(await portolan(["--version"])).toEqual({ code: 0, out: `${VERSION}\n`, err: "" });
  expect(VERSION).toMatch(/^\d+\.\d+\.\d+/);
});

describe("help", () => {
  test.each([["--help"], ["-h"]])("%s lists the commands", async (flag) => {
    const { code, out } = await portolan([flag]);
    expect(code).toBe(0);
    for (const name of ["run", "debug-dump", "connections", "check"]) expect(out).toContain(name);
  });

  test("of run names each key in its three forms, with its default", async () => {
    const { code, out } = await portolan(["run", "--help"]);
    expect(code).toBe(0);
    for (const key of keysOf(configSchema)) {
      expect(out).toContain(`  ${key.flag}`);
      expect(out).toContain(`${key.environment}; ${key.name}`);
      if (key.default !== undefined) expect(out).toContain(`default ${key.default}`);
    }
  });

  test.each([
    [["connections", "--help"], "--watch"],
    [["debug-dump", "-h"], "--duration SECONDS"],
    [["--debug-dump", "--help"], "--section NAME…"],
    [["check", "--json", "--help"], "--json"],
  ])("of %p", async (words, flag) => {
    const { code, out } = await portolan(words);
    expect(code).toBe(0);
    expect(out).toContain(`  ${flag}`);
  });
});

test.each([
  [["--no-such-flag"], '"--no-such-flag"', "usage: portolan run"],
  [["run", "stray"], '"stray"', "usage: portolan run"],
  [["no-such-command"], "expected one of run, debug-dump, connections, check", "usage: portolan ["],
  [["--listen", "nowhere"], '"nowhere"', "usage: portolan run"],
  [["connections", "--udp-timeout", "1"], '"--udp-timeout"', "usage: portolan connections"],
  [["debug-dump", "--section", "x"], '"x" is not valid, expected one of', "usage: portolan debug"],
  [["debug-dump", "--duration", "long"], '"long"', "usage: portolan debug-dump"],
  [["check", "--json=maybe"], '"maybe"', "usage: portolan check"],
])("%p is wrong usage", async (words, message, usage) => {
  const { code, out, err } = await portolan(words);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(err).toStartWith("portolan: ");
  expect(err).toContain(message);
  expect(err.split("\n")[1]).toStartWith(usage);
});

test("a bad variable is a failure, not wrong usage", async () => {
  const { code, err } = await portolan(["check"], { PORTOLAN_ATTACH: "magic" });
  expect(code).toBe(1);
  expect(err).toContain('PORTOLAN_ATTACH: "magic" is not valid, expected one of auto');
  expect(err).not.toContain("usage");
});

// Privileges are looked at first, since without them nothing else matters.
test.skipIf(process.geteuid?.() !== 0)(
  "run refuses a socket that another Portolan listens on",
  async () => {
    const { code, err } = await portolan([]);
    expect(code).toBe(1);
    expect(err).toContain(`another Portolan is running on ${root}/portolan.sock`);
  },
);

describe("connections", () => {
  test("prints a table of all that is open", async () => {
    const { code, out } = await portolan(["connections"]);
    expect(code).toBe(0);
    expect(out).toStartWith("TYPE  DIR  LOCAL  REMOTE");
    expect(questions).toEqual([{ type: "netMaps", format: "json" }]);
  });

  test("prints the document", async () => {
    const { code, out } = await portolan(["connections", "--json"]);
    expect({ code, out }).toEqual({ code: 0, out: '{"conns":[]}\n' });
  });

  test("asks for what changed for a client", async () => {
    await portolan(["connections", "--client-id", "a b&c"]);
    expect(questions).toEqual([{ type: "connections", clientId: "a b&c", format: "json" }]);
  });

  test("shows what is wrong with the question", async () => {
    const { code, err } = await portolan(["connections", "--client-id", "\n"]);
    expect(code).toBe(1);
    expect(err).toContain("400: client_id: expected 1 to 128 characters");
  });

  test("shows what the collector complains of", async () => {
    failure = new PortolanError("read", "tcp_conns", "out of memory", 12);
    const { code, err } = await portolan(["connections"]);
    expect(code).toBe(1);
    expect(err).toContain("500: read tcp_conns: out of memory.");
  });

  test("says in one sentence that no Portolan is running", async () => {
    const { code, out, err } = await portolan(["connections", "--listen", `unix:${root}/none`]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toBe(
      `portolan: ask unix:${root}/none: no Portolan is running there, start one with: portolan run\n`,
    );
  });
});

describe("debug-dump", () => {
  test("prints all sections as one document", async () => {
    const { code, out } = await portolan(["--debug-dump", "--client-id", "a"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      status: { tables: [{ name: "t" }] },
      netMaps: { conns: [] },
      netState: { of: "netState" },
      stats: { of: "stats" },
      processCache: { of: "processCache" },
      tables: [{ name: "t" }],
    });
    expect(questions).toContainEqual({ type: "netState", clientId: "a" });
  });

  test("prints the sections that are asked for", async () => {
    const { out } = await portolan(["debug-dump", "--section", "stats", "tables"]);
    expect(Object.keys(JSON.parse(out))).toEqual(["stats", "tables"]);
  });

  test("fails when a section can't be had", async () => {
    failure = new PortolanError("read", "tcp_conns", "out of memory", 12);
    const { code, err } = await portolan(["debug-dump"]);
    expect(code).toBe(1);
    expect(err).toContain("out of memory");
  });
});

test("the greeting has a command to try for every kind of listener", () => {
  const tcp = greeting(["unix:/x.sock", "http://127.0.0.1:7373"]);
  expect(tcp).toContain("unix:/x.sock and http://127.0.0.1:7373");
  expect(tcp).toContain("curl -s http://127.0.0.1:7373/connections | ");
  expect(greeting(["unix:/x.sock"])).toContain(
    "curl -s --unix-socket /x.sock http://localhost/connections\n",
  );
});

test("the command to try shows the line of the curl itself", async () => {
  const line = greeting(["http://127.0.0.1:7373"]).split("Try: ")[1]?.trim() ?? "";
  const [, pipe = ""] = line.split("/connections |");
  const document = `{"conns":[{"pid":1,"process":{"comm":"bash"}},{"pid":2,"process":{"comm":"curl"}}]}`;
  const shell = Bun.spawn(["sh", "-c", pipe], { stdin: new Blob([document]), stdout: "pipe" });
  expect(await new Response(shell.stdout).text()).toBe('{"pid":2,"process":{"comm":"curl"}}]}\n');
});
