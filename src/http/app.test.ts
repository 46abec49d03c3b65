import { expect, test } from "bun:test";
import { STATUS_CODES } from "node:http";
import { decode, encode } from "@msgpack/msgpack";
import type { Hono } from "hono";
import { PortolanError } from "../model/errors.ts";
import { Logger } from "../telemetry/logger.ts";
import { CollectorUnavailableError } from "../tracer/client.ts";
import type { CollectorQuestion } from "../tracer/protocol.ts";
import { type Collector, createApp } from "./app.ts";

/** A document of about 10 kB. */
const DOCUMENT = { clientId: "x", conns: Array.from({ length: 500 }, (_, pid) => ({ pid })) };

class FakeCollector implements Collector {
  readonly questions: CollectorQuestion[] = [];
  unavailable: string | undefined;
  /** Thrown by the next questions. */
  failure: Error | undefined;
  /** Where given, it is the body of streams, and answers wait until it is closed or cancelled. */
  body: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;

  async ask(question: CollectorQuestion): Promise<unknown> {
    this.questions.push(question);
    if (this.failure !== undefined) throw this.failure;
    return question.type === "ebpfMaps" ? "map\n" : { asked: question.type };
  }

  async stream(question: CollectorQuestion): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    this.questions.push(question);
    if (this.failure !== undefined) throw this.failure;
    const msgpack = "format" in question && question.format === "msgpack";
    return this.body ?? new Blob([msgpack ? encode(DOCUMENT) : JSON.stringify(DOCUMENT)]).stream();
  }
}

function start(): { app: Hono; collector: FakeCollector; log: string[] } {
  const collector = new FakeCollector();
  const log: string[] = [];
  return {
    app: createApp(collector, new Logger("debug", (line) => log.push(line))),
    collector,
    log,
  };
}

/** Reads a body as the server does, which copies each chunk before it asks for the next. */
async function bytesOf(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of response.body ?? []) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

const accept = (type: string) => ({ headers: { Accept: type } });

interface Problem {
  status: number;
  title: string;
  detail: string;
  issues?: object[];
}

/** Checks that the response is a problem document of this status and returns it. */
async function problemFrom(response: Response, status: number): Promise<Problem> {
  expect(response.status).toBe(status);
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const document = (await response.json()) as Problem;
  expect(document.status).toBe(status);
  expect(document.title).toBe(STATUS_CODES[status] ?? "");
  expect(document.detail).toEndWith(".");
  return document;
}

test.each([
  ["/connections", { type: "connections", clientId: "-1", format: "json" }],
  ["/connections?client_id=a%20%C3%A9", { type: "connections", clientId: "a é", format: "json" }],
  ["/register?client_id=a", { type: "register", clientId: "a" }],
  ["/debug/net_maps", { type: "netMaps", format: "json" }],
  ["/debug/net_state?client_id=a", { type: "netState", clientId: "a" }],
  ["/debug/status", { type: "status" }],
  ["/debug/stats", { type: "stats" }],
  ["/debug/process_cache", { type: "processCache" }],
  ["/debug/ebpf_maps", { type: "ebpfMaps", maps: [] }],
  ["/debug/ebpf_maps?maps=a_1,b", { type: "ebpfMaps", maps: ["a_1", "b"] }],
])("GET %s", async (path, question) => {
  const { app, collector } = start();
  const response = await app.request(path);
  expect(response.status).toBe(200);
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const text = path.startsWith("/debug/ebpf_maps");
  expect(response.headers.get("Content-Type")).toBe(
    text ? "text/plain; charset=utf-8" : "application/json",
  );
  if (text) expect(await response.text()).toBe("map\n");
  else expect(JSON.parse(Buffer.from(await bytesOf(response)).toString())).toBeObject();
  expect(collector.questions).toEqual([question as CollectorQuestion]);
});

test("msgpack comes through as the collector encoded it", async () => {
  const { app, collector } = start();
  const response = await app.request("/connections", accept("application/msgpack"));
  expect(response.headers.get("Content-Type")).toBe("application/msgpack");
  expect(decode(await bytesOf(response))).toEqual(DOCUMENT);
  expect(collector.questions).toEqual([{ type: "connections", clientId: "-1", format: "msgpack" }]);
});

test.each(["gzip", "zstd"] as const)(
  "a body over 1 KiB is sent as %s to who asks",
  async (name) => {
    const { app } = start();
    const response = await app.request("/connections", { headers: { "Accept-Encoding": name } });
    expect(response.headers.get("Content-Encoding")).toBe(name);
    expect(response.headers.get("Vary")).toContain("Accept-Encoding");
    const bytes = await response.bytes();
    const plain = name === "gzip" ? Bun.gunzipSync(bytes) : Bun.zstdDecompressSync(bytes);
    expect(JSON.parse(new TextDecoder().decode(plain))).toEqual(DOCUMENT);
  },
);

test("a small body is sent as it is", async () => {
  const { app } = start();
  const response = await app.request("/debug/stats", { headers: { "Accept-Encoding": "gzip" } });
  expect(response.headers.get("Content-Encoding")).toBeNull();
  expect(await response.json()).toEqual({ asked: "stats" });
});

test("HEAD has the headers of GET and asks the collector for nothing", async () => {
  const { app, collector } = start();
  const response = await app.request("/connections", { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("Content-Type")).toBe("application/json");
  expect(await response.text()).toBe("");
  expect(collector.questions).toEqual([]);
  expect((await app.request("/connections?client_id=", { method: "HEAD" })).status).toBe(400);
});

test.each([
  ["/connections?client_id=", "client_id"],
  [`/connections?client_id=${"x".repeat(129)}`, "client_id"],
  ["/connections?client_id=a%00", "client_id"],
  ["/connections?client_id=a%0Ab", "client_id"],
  ["/connections?client_id=a%C2%85b", "client_id"],
  ["/connections?client_id=a&client_id=b", "client_id"],
  ["/connections?clientid=a", "clientid"],
  ["/register?client_id=", "client_id"],
  ["/debug/net_state?client_id=%7F", "client_id"],
  ["/debug/net_maps?x=1", "x"],
  ["/debug/ebpf_maps?maps=", "maps"],
  ["/debug/ebpf_maps?maps=a,,b", "maps"],
  ["/debug/ebpf_maps?maps=../a", "maps"],
])("GET %s is a bad request", async (path, parameter) => {
  const { app, collector } = start();
  const document = await problemFrom(await app.request(path), 400);
  expect(document.detail).toContain(parameter);
  expect(document.issues).toBeArrayOfSize(1);
  expect(collector.questions).toEqual([]);
});

test("a client_id of 128 characters is good, whatever they take in UTF-8", async () => {
  const { app } = start();
  const path = `/register?client_id=${encodeURIComponent("😀".repeat(128))}`;
  expect((await app.request(path)).status).toBe(200);
});

test("what isn't there", async () => {
  const { app } = start();
  for (const path of ["/", "/connections/", "/Connections", "/debug"]) {
    await problemFrom(await app.request(path), 404);
  }
});

test.each(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])("%s is not allowed", async (method) => {
  const { app, collector } = start();
  for (const path of ["/connections", "/health", "/debug/status"]) {
    const response = await app.request(path, { method });
    expect(response.headers.get("Allow")).toBe("GET, HEAD");
    await problemFrom(response, 405);
  }
  expect(collector.questions).toEqual([]);
});

test("an Accept that matches nothing names the formats", async () => {
  const { app, collector } = start();
  const response = await app.request("/connections", accept("text/html, application/xml;q=0.9"));
  const { detail } = await problemFrom(response, 406);
  expect(detail).toContain("application/json, application/msgpack");
  await problemFrom(await app.request("/debug/status", accept("application/msgpack")), 406);
  await problemFrom(await app.request("/debug/ebpf_maps", accept("application/json")), 406);
  expect(collector.questions).toEqual([]);
});

test("a URL that is too long", async () => {
  const { app } = start();
  await problemFrom(await app.request(`/connections?client_id=${"x".repeat(1_000_000)}`), 414);
});

test("a failure of the collector is told with its context, and logged", async () => {
  const { app, collector, log } = start();
  collector.failure = new PortolanError("read", "map tcp_conns", "out of memory", 12);
  for (const path of ["/connections", "/register", "/debug/status"]) {
    expect(await problemFrom(await app.request(path), 500)).toMatchObject({
      operation: "read",
      object: "map tcp_conns",
      reason: "out of memory",
      errno: 12,
    });
  }
  expect(log).toHaveLength(3);
  expect(log[0]).toContain("error GET /connections failed operation=read");
});

test("an error of our own is logged and not told", async () => {
  const { app, collector, log } = start();
  collector.failure = new TypeError("secret");
  const document = await problemFrom(await app.request("/debug/status"), 500);
  expect(JSON.stringify(document)).not.toContain("secret");
  expect(log.join()).toContain("secret");
});

test("a collector that has stopped makes 503 of everything", async () => {
  const { app, collector, log } = start();
  expect(await (await app.request("/health")).json()).toEqual({ status: "ok" });
  collector.unavailable = "it crashed";
  collector.failure = new CollectorUnavailableError("it crashed");
  for (const path of ["/health", "/connections", "/register", "/debug/status"]) {
    expect(await problemFrom(await app.request(path), 503)).toMatchObject({ reason: "it crashed" });
  }
  expect(log).toEqual([]);
});

/** A body that ends only when the test wants it to, and whether it was cancelled. */
function openBody() {
  const state = { cancelled: false, close: () => {} };
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      controller.enqueue(new Uint8Array(10_000));
      state.close = () => controller.close();
    },
    cancel: () => {
      state.cancelled = true;
    },
  });
  return { stream, state };
}

test("two requests at once are answered, the third is told to come back", async () => {
  const { app, collector } = start();
  const bodies = [openBody(), openBody()];
  const responses: Response[] = [];
  for (const { stream } of bodies) {
    collector.body = stream;
    responses.push(await app.request("/connections?client_id=a"));
  }
  collector.body = undefined;
  const third = await app.request("/connections?client_id=b");
  expect(third.headers.get("Retry-After")).toBe("1");
  await problemFrom(third, 429);
  expect(collector.questions).toHaveLength(2);
  // Other endpoints have slots of their own.
  expect((await app.request("/debug/net_maps")).status).toBe(200);
  expect((await app.request("/health")).status).toBe(200);

  bodies[0]?.state.close();
  await responses[0]?.bytes();
  expect((await app.request("/connections")).status).toBe(200);
});

test.each([undefined, "gzip", "zstd"])(
  "a cancelled body gives its slot back (%s)",
  async (encoding) => {
    const { app, collector } = start();
    const headers: Record<string, string> = encoding ? { "Accept-Encoding": encoding } : {};
    for (let round = 0; round < 5; round++) {
      const { stream, state } = openBody();
      collector.body = stream;
      const response = await app.request("/connections", { headers });
      expect(response.status).toBe(200);
      await response.body?.cancel();
      expect(state.cancelled).toBeTrue();
    }
  },
);

test("failures give their slot back", async () => {
  const { app, collector } = start();
  collector.failure = new PortolanError("read", "map", "gone");
  for (let round = 0; round < 5; round++) {
    expect((await app.request("/connections")).status).toBe(500);
  }
  collector.failure = undefined;
  for (let round = 0; round < 5; round++) {
    collector.body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(10_000));
      },
      pull(controller) {
        controller.error(new PortolanError("read", "map", "gone"));
      },
    });
    const response = await app.request("/connections");
    await expect(response.bytes()).rejects.toThrow();
  }
  collector.body = undefined;
  expect((await app.request("/connections")).status).toBe(200);
});

test("bodies that nobody reads hold their slots, small ones do not", async () => {
  const { app } = start();
  for (let round = 0; round < 5; round++) {
    expect((await app.request("/debug/status")).status).toBe(200);
  }
  const statuses: number[] = [];
  for (let round = 0; round < 3; round++) {
    statuses.push((await app.request("/connections")).status);
  }
  expect(statuses).toEqual([200, 200, 429]);
});
