/** The collector's thread: questions in, answers out, and the clock that drains the ring. */
import type { Collector } from "./collector.ts";
import type { CollectorReply, CollectorRequest, CollectorStart } from "./protocol.ts";
import { startCollector } from "./start.ts";

declare const self: Worker;

/** 8 MiB of ring hold 45,000 closes: even a busy thread, a second late, loses none at 40,000 a second. */
const DRAIN_MS = 10;
const HOUSEKEEPING_MS = 1000;
/** How often silent flows are swept when no client asks. */
const REFRESH_MS = 30_000;

let running: { collector: Collector; stop(): void } | undefined;

// Installed before anything can await: earlier messages would be dropped.
self.onmessage = ({ data }: MessageEvent<CollectorStart | CollectorRequest>) => {
  if (data.type === "start") start(data);
  else if (running !== undefined) answer(running.collector, data);
};

function start({ config }: CollectorStart): void {
  try {
    const { collector, close } = startCollector(config);
    const timers = [
      setInterval(() => collector.drain(), DRAIN_MS),
      setInterval(() => collector.refresh(), REFRESH_MS),
      setInterval(() => {
        collector.expire();
        reply({ type: "heartbeat", at: Date.now() });
      }, HOUSEKEEPING_MS),
    ];
    running = {
      collector,
      stop() {
        for (const timer of timers) clearInterval(timer);
        close();
      },
    };
    reply({ type: "ready", status: collector.status() });
  } catch (error) {
    const { message, detail } = error as Error & { detail?: string };
    reply({ type: "failed", message, ...(detail !== undefined && { detail }) });
  }
}

function answer(collector: Collector, request: CollectorRequest): void {
  const { id } = request;
  try {
    if (request.type === "connections" || request.type === "netMaps") {
      sendDocument(collector, request);
      reply({ id, type: "done" });
    } else {
      reply({ id, type: "value", value: lookUp(collector, request) });
    }
  } catch (error) {
    reply({ id, type: "error", ...describe(error) });
  }
}

type DocumentRequest = Extract<CollectorRequest, { type: "connections" | "netMaps" }>;

function sendDocument(collector: Collector, request: DocumentRequest): void {
  const { id, format } = request;
  const take = (bytes: ArrayBuffer) => self.postMessage({ id, type: "chunk", bytes }, [bytes]);
  if (request.type === "netMaps") collector.netMaps(format, take);
  else collector.connections(request.clientId, format, take);
}

function lookUp(
  collector: Collector,
  request: Exclude<CollectorRequest, DocumentRequest>,
): unknown {
  switch (request.type) {
    case "register":
      return collector.register(request.clientId);
    case "netState":
      return collector.netState(request.clientId);
    case "status":
      return collector.status();
    case "stats":
      return collector.stats();
    case "processCache":
      return collector.processCache();
    case "ebpfMaps":
      return collector.dumpMaps(request.maps);
    case "stop":
      return running?.stop();
  }
}

/** The fields that PortolanError and NativeError share. */
function describe(error: unknown) {
  const { operation, object, reason, errno, message } = error as Error & {
    operation?: string;
    object?: string;
    reason?: string;
    errno?: number;
  };
  return {
    operation: operation ?? "answer",
    object: object ?? "request",
    reason: reason ?? message,
    ...(errno !== undefined && { errno }),
  };
}

function reply(message: CollectorReply): void {
  self.postMessage(message);
}
