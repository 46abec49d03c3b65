/** The app behind a real listener: what only shows when bytes go over a socket. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Logger } from "../telemetry/logger.ts";
import { type Collector, createApp } from "./app.ts";
import { type Listener, openListeners } from "./listener.ts";

const CHUNK_BYTES = 262_144;
const BIG_CHUNKS = 160; // 40 MiB

// A busy machine takes its time for 40 MiB.
setDefaultTimeout(60_000);

const root = mkdtempSync(join(tmpdir(), "portolan-server-"));
const socket = join(root, "portolan.sock");
afterAll(() => rmSync(root, { recursive: true }));

let listeners: Listener[] = [];
afterEach(async () => {
  await Promise.all(listeners.map((listener) => listener.stop()));
});

/** Serves what `stream` returns at /connections; returns the URL of the TCP listener. */
async function serve(stream: Collector["stream"]): Promise<string> {
  const collector: Collector = { unavailable: undefined, ask: async () => ({}), stream };
  const app = createApp(collector, new Logger("error", () => {}));
  listeners = await openListeners(
    [{ unix: socket }, { hostname: "127.0.0.1", port: 0 }],
    (request) => app.fetch(request),
  );
  return listeners[1]?.url ?? "";
}

/** Waits until it holds, or else until the test's time is over. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(5);
}

/** Sends what the client wrote by hand, and returns all that comes back. */
function raw(target: { path: string } | { host: string; port: number }, request: string) {
  return new Promise<string>((resolve) => {
    let answer = "";
    const client = connect(target);
    client.on("data", (data) => {
      answer += data.toString("latin1");
    });
    client.on("error", () => resolve(answer));
    client.on("close", () => resolve(answer));
    client.write(request);
  });
}

/** A document in chunks, and how many have been taken from it. */
function bigDocument() {
  const state = { taken: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        if (state.taken === BIG_CHUNKS) return controller.close();
        controller.enqueue(new Uint8Array(CHUNK_BYTES).fill(state.taken++));
      },
      cancel: () => {
        state.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, state };
}

test.each(["identity", "gzip", "zstd"])("40 MiB pass as %s", async (encoding) => {
  await serve(async () => bigDocument().stream);
  const headers = { "Accept-Encoding": encoding };
  const response = await fetch("http://portolan/connections", { unix: socket, headers });
  const expected = encoding === "identity" ? null : encoding;
  expect(response.headers.get("Content-Encoding")).toBe(expected);
  expect(response.headers.get("Content-Length")).toBeNull();
  let [bytes, wrong] = [0, 0];
  for await (const chunk of response.body ?? []) {
    if (chunk[0] !== Math.floor(bytes / CHUNK_BYTES)) wrong++;
    bytes += chunk.byteLength;
  }
  expect(bytes).toBe(BIG_CHUNKS * CHUNK_BYTES);
  expect(wrong).toBe(0);
});

test("a slow reader holds the document back and keeps its slot; when it goes, the slot is free", async () => {
  const documents: ReturnType<typeof bigDocument>[] = [];
  const url = await serve(async () => {
    const document = bigDocument();
    documents.push(document);
    return document.stream;
  });
  const { hostname: host, port } = new URL(url);
  const clients = [connect({ path: socket }), connect({ host, port: Number(port) })];
  for (const client of clients) {
    client.pause();
    client.write("GET /connections HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  await until(() => documents.length === 2);
  await Bun.sleep(300);
  // The rest is in the buffers of the two sockets.
  for (const { state } of documents) expect(state.taken).toBeLessThan(BIG_CHUNKS / 2);
  expect((await fetch(`${url}/connections`)).status).toBe(429);

  for (const client of clients) client.destroy();
  await until(() => documents.every(({ state }) => state.cancelled));
  for (let round = 0; round < 3; round++) {
    const response = await fetch(`${url}/connections`);
    expect(response.status).toBe(200);
    await response.bytes();
  }
});

test("a client that goes before the answer begins gives its slot back", async () => {
  const waiting: (() => void)[] = [];
  const documents: ReturnType<typeof bigDocument>[] = [];
  const url = await serve(async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    const document = bigDocument();
    documents.push(document);
    return document.stream;
  });
  for (let round = 1; round <= 4; round++) {
    const aborter = new AbortController();
    const answer = fetch(`${url}/connections`, { signal: aborter.signal });
    answer.catch(() => {});
    // A request that found no slot would never get here.
    await until(() => waiting.length === round);
    aborter.abort();
    await Bun.sleep(50);
    waiting.at(-1)?.();
    await until(() => documents.length === round && documents.at(-1)?.state.cancelled === true);
  }
});

test("a document that breaks off can't be taken for a whole one", async () => {
  const url = await serve(async () => {
    let chunks = 0;
    return new ReadableStream({
      pull(controller) {
        if (chunks++ < 5) controller.enqueue(new Uint8Array(10_000));
        else controller.error(new Error("the collector crashed"));
      },
    });
  });
  const reading = fetch(`${url}/connections`).then((response) => response.bytes());
  await expect(reading).rejects.toThrow();
});

test("a URL too long is refused with a status, and the server goes on", async () => {
  const url = await serve(async () => new Blob(["{}"]).stream());
  const { hostname: host, port } = new URL(url);
  for (const target of [{ path: socket }, { host, port: Number(port) }]) {
    for (const length of [10_000, 1_000_000]) {
      const query = `client_id=${"x".repeat(length)}`;
      const request = `GET /connections?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      expect(await raw(target, request)).toStartWith("HTTP/1.1 414 URI Too Long\r\n");
    }
  }
  expect((await fetch(`${url}/connections`)).status).toBe(200);
});

test("a request body is refused", async () => {
  const url = await serve(async () => new Blob(["{}"]).stream());
  expect((await fetch(`${url}/connections`, { method: "POST", body: "{}" })).status).toBe(405);
  const body = new Uint8Array(1_000_000);
  expect((await fetch(`${url}/connections`, { method: "POST", body })).status).toBe(413);
});

test("HEAD tells no length, since nobody knows it", async () => {
  const url = await serve(async () => bigDocument().stream);
  const { hostname: host, port } = new URL(url);
  const request = "HEAD /connections HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const answer = await raw({ host, port: Number(port) }, request);
  expect(answer).toStartWith("HTTP/1.1 200 OK\r\n");
  expect(answer.toLowerCase()).toContain("content-type: application/json\r\n");
  expect(answer.toLowerCase()).not.toContain("content-length");
  expect(answer).toEndWith("\r\n\r\n");
});
