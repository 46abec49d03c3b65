import { expect, jest, test } from "bun:test";
import { PortolanError } from "../model/errors.ts";
import type { TracerStatus } from "../model/status.ts";
import {
  CollectorClient,
  type CollectorPort,
  CollectorUnavailableError,
  STALL_MS,
} from "./client.ts";
import type {
  CollectorConfig,
  CollectorReply,
  CollectorRequest,
  CollectorStart,
} from "./protocol.ts";

const CONFIG: CollectorConfig = {
  maxTrackedConnections: 1,
  maxClosedConnections: 1,
  clientExpirySeconds: 1,
  ringBytes: 4096,
  udp: true,
  udpTimeoutSeconds: 1,
  connectErrors: false,
  attach: "auto",
};

const STATUS: TracerStatus = {
  version: "0",
  kernel: "6",
  startedAt: 1,
  capabilities: [],
  programs: [],
  tables: [],
};

/** A collector that answers as the test says. */
class FakePort implements CollectorPort {
  readonly #events = new EventTarget();
  readonly received: (CollectorStart | CollectorRequest)[] = [];
  terminated = false;
  onQuestion: (question: CollectorRequest) => void = () => {};

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#events.addEventListener(type, listener as (event: Event) => void);
  }

  fire(event: Event): void {
    this.#events.dispatchEvent(event);
  }

  postMessage(message: CollectorStart | CollectorRequest): void {
    this.received.push(message);
    if ("id" in message) this.onQuestion(message);
  }

  reply(...replies: CollectorReply[]): void {
    for (const data of replies) this.fire(new MessageEvent("message", { data }));
  }

  terminate(): void {
    this.terminated = true;
  }
}

async function started(): Promise<{ port: FakePort; client: CollectorClient }> {
  const port = new FakePort();
  const starting = CollectorClient.start(CONFIG, port);
  port.reply({ type: "ready", status: STATUS });
  return { port, client: await starting };
}

const bytes = (text: string): ArrayBuffer => new TextEncoder().encode(text).buffer;

test("the configuration is the first message, and the status comes with ready", async () => {
  const { port, client } = await started();
  expect(port.received).toEqual([{ type: "start", config: CONFIG }]);
  expect(await client.started).toEqual(STATUS);
  expect(client.unavailable).toBeUndefined();
});

test("a collector that can't trace fails the start with its reason, and is ended", async () => {
  const port = new FakePort();
  const starting = CollectorClient.start(CONFIG, port);
  port.reply({ type: "failed", message: "no BTF", detail: "line 1" });
  await expect(starting).rejects.toMatchObject({ reason: "no BTF", detail: "line 1" });
  expect(port.terminated).toBeTrue();
});

test("a collector that crashes while it starts fails the start", async () => {
  const port = new FakePort();
  const starting = CollectorClient.start(CONFIG, port);
  port.fire(new ErrorEvent("error", { message: "boom" }));
  await expect(starting).rejects.toMatchObject({ reason: "it crashed: boom" });
});

test("answers find their questions in any order", async () => {
  const { port, client } = await started();
  const first = client.ask({ type: "status" });
  const second = client.ask({ type: "stats" });
  port.reply({ id: 2, type: "value", value: 2 }, { id: 1, type: "value", value: 1 });
  expect(await Promise.all([first, second])).toEqual([1, 2]);
});

test("a failure of the collector arrives with its context", async () => {
  const { port, client } = await started();
  const failure = {
    type: "error",
    operation: "read",
    object: "tcp_conns",
    reason: "no memory",
    errno: 12,
  } as const;
  const value = client.ask({ type: "status" });
  const stream = client.stream({ type: "netMaps", format: "json" });
  port.reply({ id: 1, ...failure }, { id: 2, ...failure });
  for (const answer of [value, stream]) {
    const error = await answer.then(() => undefined).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PortolanError);
    expect(error).toMatchObject({ operation: "read", object: "tcp_conns", errno: 12 });
  }
});

test("a stream passes its parts on, in order and one by one", async () => {
  const { port, client } = await started();
  const asking = client.stream({ type: "netMaps", format: "json" });
  port.reply({ id: 1, type: "chunk", bytes: bytes("one ") });
  const reader = (await asking).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("one ");
  port.reply({ id: 1, type: "chunk", bytes: bytes("two") }, { id: 1, type: "done" });
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("two");
  expect((await reader.read()).done).toBeTrue();
});

test("an empty stream ends", async () => {
  const { port, client } = await started();
  const asking = client.stream({ type: "netMaps", format: "json" });
  port.reply({ id: 1, type: "done" });
  expect(await new Response(await asking).text()).toBe("");
});

test("a failure after the first part errors the stream", async () => {
  const { port, client } = await started();
  const asking = client.stream({ type: "netMaps", format: "json" });
  port.reply({ id: 1, type: "chunk", bytes: bytes("[") });
  const reader = (await asking).getReader();
  await reader.read();
  port.reply({ id: 1, type: "error", operation: "read", object: "map", reason: "gone" });
  await expect(reader.read()).rejects.toMatchObject({ reason: "gone" });
});

test("parts that arrive after the reader has gone are dropped", async () => {
  const { port, client } = await started();
  const asking = client.stream({ type: "netMaps", format: "json" });
  port.reply({ id: 1, type: "chunk", bytes: bytes("[") });
  await (await asking).cancel();
  port.reply({ id: 1, type: "chunk", bytes: bytes("]") }, { id: 1, type: "done" });
  expect(client.unavailable).toBeUndefined();
});

test("a crash fails what is under way and whatever is asked later", async () => {
  const { port, client } = await started();
  const value = client.ask({ type: "status" });
  port.fire(new ErrorEvent("error", { message: "segfault" }));
  await expect(value).rejects.toBeInstanceOf(CollectorUnavailableError);
  await expect(client.ask({ type: "status" })).rejects.toMatchObject({
    reason: "it crashed: segfault",
  });
  await expect(client.stream({ type: "netMaps", format: "json" })).rejects.toMatchObject({
    reason: "it crashed: segfault",
  });
  expect(client.unavailable).toBe("it crashed: segfault");
  expect(await client.ended).toBe("it crashed: segfault");
});

test("a thread that ends by itself counts as stopped", async () => {
  const { port, client } = await started();
  port.fire(new Event("close"));
  expect(client.unavailable).toBe("its thread has ended");
});

test("a collector that is silent for too long fails what is under way, and may come back", async () => {
  jest.useFakeTimers();
  const now = performance.now();
  const clock = jest.spyOn(performance, "now");
  try {
    const { port, client } = await started();
    const value = client.ask({ type: "status" }).catch((error: unknown) => error);

    clock.mockReturnValue(now + STALL_MS - 1_000);
    jest.advanceTimersByTime(1_000);
    expect(client.unavailable).toBeUndefined();

    clock.mockReturnValue(now + STALL_MS + 1_000);
    jest.advanceTimersByTime(1_000);
    expect(client.unavailable).toContain("30 s");
    expect(await value).toBeInstanceOf(CollectorUnavailableError);
    await expect(client.ask({ type: "status" })).rejects.toBeInstanceOf(CollectorUnavailableError);

    port.reply({ type: "heartbeat", at: 1 });
    expect(client.unavailable).toBeUndefined();
  } finally {
    clock.mockRestore();
    jest.useRealTimers();
  }
});

test("stop waits for the collector and ends its thread", async () => {
  const { port, client } = await started();
  const stopping = client.stop();
  expect(port.received.at(-1)).toEqual({ type: "stop", id: 1 });
  expect(port.terminated).toBeFalse();
  port.reply({ id: 1, type: "done" });
  await stopping;
  expect(port.terminated).toBeTrue();
  await expect(client.ask({ type: "status" })).rejects.toMatchObject({ reason: "it was stopped" });
  await client.stop();
});

test("a collector that doesn't stop is ended, and that is an error", async () => {
  jest.useFakeTimers();
  try {
    const { port, client } = await started();
    const stopping = client.stop().catch((error: unknown) => error);
    jest.advanceTimersByTime(5_000);
    expect(await stopping).toMatchObject({ reason: "no answer within 5000 ms" });
    expect(port.terminated).toBeTrue();
  } finally {
    jest.useRealTimers();
  }
});
