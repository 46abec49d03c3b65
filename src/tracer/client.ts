import { PortolanError } from "../model/errors.ts";
import type { TracerStatus } from "../model/status.ts";
import { Parts } from "./parts.ts";
import type {
  CollectorConfig,
  CollectorQuestion,
  CollectorReply,
  CollectorRequest,
  CollectorSignal,
  CollectorStart,
} from "./protocol.ts";

/** The collector counts as stalled after this long without a message, in milliseconds. */
export const STALL_MS = 30_000;
const WATCH_MS = 1_000;
/** An orderly stop detaches in milliseconds; after this long the thread is ended as it is. */
const STOP_MS = 5_000;

/** What the client needs of a `Worker`, so that a test can stand in for the collector. */
export interface CollectorPort {
  postMessage(message: CollectorStart | CollectorRequest | CollectorSignal): void;
  addEventListener(type: "message", listener: (event: MessageEvent<CollectorReply>) => void): void;
  addEventListener(type: "error", listener: (event: ErrorEvent) => void): void;
  addEventListener(type: "close", listener: () => void): void;
  terminate(): void;
}

/** The collector can't answer now: it has stopped, or it hasn't been heard of for `STALL_MS`. */
export class CollectorUnavailableError extends PortolanError {
  override readonly name = "CollectorUnavailableError";

  constructor(reason: string) {
    super("ask", "the collector", reason);
  }
}

/** Where the replies to one question go. */
interface Pending {
  value(value: unknown): void;
  chunk(bytes: ArrayBuffer): void;
  done(): void;
  fail(error: Error): void;
}

/**
 * The main thread's side of the collector worker: questions and answers, and a watch over its health.
 * Answers are held only on their way: the collector is told what has been taken and runs only a little
 * ahead (FlowControl).
 */
export class CollectorClient {
  readonly #port: CollectorPort;
  readonly #pending = new Map<number, Pending>();
  readonly #watch: Timer;
  #lastId = 0;
  #lastHeard = performance.now();
  #stalled = false;
  /** Why the collector will never answer again; undefined while it may. */
  #stopped: string | undefined;

  #started = Promise.withResolvers<TracerStatus>();
  #ended = Promise.withResolvers<string>();
  /** What the collector said of itself when it was ready. */
  readonly started = this.#started.promise;
  /** Fulfilled with the reason when the collector has ended, by `stop` or by itself. */
  readonly ended = this.#ended.promise;

  /**
   * Starts the collector and waits until it traces.
   *
   * @throws PortolanError with the collector's reason when it can't trace.
   */
  static async start(config: CollectorConfig, port = startWorker()): Promise<CollectorClient> {
    const client = new CollectorClient(port);
    port.postMessage({ type: "start", config });
    try {
      await client.started;
      return client;
    } catch (error) {
      client.#end("it could not start");
      throw error;
    }
  }

  private constructor(port: CollectorPort) {
    this.#port = port;
    port.addEventListener("message", (event) => this.#receive(event.data));
    port.addEventListener("error", (event) => this.#end(`it crashed: ${event.message}`));
    port.addEventListener("close", () => this.#end("its thread has ended"));
    this.#watch = setInterval(() => this.#checkPulse(), WATCH_MS);
    this.#watch.unref();
  }

  /** Why the collector can't answer now; undefined when it can. */
  get unavailable(): string | undefined {
    if (this.#stopped !== undefined) return this.#stopped;
    return this.#stalled ? `it has not been heard of for ${STALL_MS / 1000} s` : undefined;
  }

  /**
   * Asks for an answer that comes as one value.
   *
   * @throws CollectorUnavailableError, or PortolanError with the collector's own failure.
   */
  ask(question: CollectorQuestion): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#send(question, {
        value: resolve,
        chunk: () => reject(new TypeError(`a value was expected in answer to ${question.type}`)),
        done: () => resolve(undefined),
        fail: reject,
      });
    });
  }

  /**
   * Asks for an answer that comes in parts. Fulfilled with the first part; a later failure errors the
   * stream, so that a truncated document can't be taken for a whole one.
   *
   * @throws like `ask`.
   */
  stream(question: CollectorQuestion): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    return new Promise((resolve, reject) => {
      let id: number | undefined;
      const signal = (type: "taken" | "cancel") => {
        if (id !== undefined && this.#pending.has(id)) this.#port.postMessage({ type, id });
      };
      const parts = new Parts({
        taken: () => signal("taken"),
        cancelled: () => {
          signal("cancel");
          if (id !== undefined) this.#pending.delete(id);
        },
      });
      id = this.#send(question, {
        value: () => reject(new TypeError(`parts were expected in answer to ${question.type}`)),
        chunk: (bytes) => {
          parts.push(bytes);
          resolve(parts.stream);
        },
        done: () => {
          parts.end();
          resolve(parts.stream);
        },
        fail: (error) => {
          parts.fail(error);
          reject(error);
        },
      });
    });
  }

  /**
   * Lets the collector detach everything and ends its thread.
   *
   * @throws PortolanError when it doesn't detach in time; its thread is ended all the same.
   */
  async stop(): Promise<void> {
    if (this.#stopped !== undefined) return;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new PortolanError("stop", "the collector", `no answer within ${STOP_MS} ms`));
    }, STOP_MS);
    try {
      await Promise.race([this.ask({ type: "stop" }), late.promise]);
    } finally {
      clearTimeout(timer);
      this.#end("it was stopped");
    }
  }

  /** Returns the id of the question, or undefined when it can't be asked. */
  #send(question: CollectorQuestion, pending: Pending): number | undefined {
    const reason = this.unavailable;
    if (reason !== undefined) {
      pending.fail(new CollectorUnavailableError(reason));
      return undefined;
    }
    const id = ++this.#lastId;
    this.#pending.set(id, pending);
    this.#port.postMessage({ ...question, id });
    return id;
  }

  #receive(reply: CollectorReply): void {
    this.#lastHeard = performance.now();
    this.#stalled = false;
    switch (reply.type) {
      case "heartbeat":
        return;
      case "ready":
        this.#started.resolve(reply.status);
        return;
      case "failed":
        this.#started.reject(
          new PortolanError("start", "the tracer", reply.message, undefined, reply.detail),
        );
        return;
    }
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return; // cancelled, or given up while the collector was stalled
    if (reply.type !== "chunk") this.#pending.delete(reply.id);
    switch (reply.type) {
      case "chunk":
        pending.chunk(reply.bytes);
        break;
      case "done":
        pending.done();
        break;
      case "value":
        pending.value(reply.value);
        break;
      case "error":
        pending.fail(new PortolanError(reply.operation, reply.object, reply.reason, reply.errno));
        break;
    }
  }

  #checkPulse(): void {
    if (performance.now() - this.#lastHeard < STALL_MS) return;
    this.#stalled = true;
    this.#failAll();
  }

  #end(reason: string): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    clearInterval(this.#watch);
    this.#failAll();
    this.#port.terminate();
    this.#ended.resolve(reason);
  }

  #failAll(): void {
    const error = new CollectorUnavailableError(this.unavailable ?? "unknown");
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#started.reject(error);
    for (const one of pending) one.fail(error);
  }
}

/** The worker is a second entry point of the executable, which is found by this very form. */
function startWorker(): CollectorPort {
  return new Worker(new URL("./collector.worker.ts", import.meta.url).href);
}
