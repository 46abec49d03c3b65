/** The collector's thread: questions in, answers out, and the clock that drains the ring. */
import type { Collector } from "./collector.ts";
import { FlowControl } from "./flow_control.ts";
import type {
  CollectorReply,
  CollectorRequest,
  CollectorSignal,
  CollectorStart,
} from "./protocol.ts";
import { startCollector } from "./start.ts";

declare const self: Worker;

/**
 * Between drains of the ring, with and without news at the last one. Its 8 MiB hold 45,000 closes: even a
 * thread that is a second late loses none at 40,000 a second. Waking 100 times a second for nothing
 * would cost 1 % of a processor.
 */
const DRAIN_MS = 10;
const QUIET_DRAIN_MS = 50;
const HOUSEKEEPING_MS = 1000;
/** How often silent flows are swept when no client asks. */
const REFRESH_MS = 30_000;

/** Parts of 256 KiB that a document may be ahead of its reader, and how long it waits for him. */
const PARTS_AHEAD = 16;
const PATIENCE_MS = 1000;

let running: { collector: Collector; stop(): void } | undefined;
/** Questions in the order in which they came; the first one is being answered. */
const questions: CollectorRequest[] = [];
/** The flow of the document that is being sent. */
let flow: { id: number; control: FlowControl } | undefined;

// Installed before anything can await: earlier messages would be dropped.
self.onmessage = ({ data }: MessageEvent<CollectorStart | CollectorRequest | CollectorSignal>) => {
  if (data.type === "start") start(data);
  else if (data.type === "taken" || data.type === "cancel") signal(data);
  else if (questions.push(data) === 1) void answerAll();
};

function signal({ type, id }: CollectorSignal): void {
  if (flow?.id !== id) return; // the last parts of a document are taken after it is done
  if (type === "taken") flow.control.taken();
  else flow.control.cancel();
}

function start({ config }: CollectorStart): void {
  try {
    const { collector, close } = startCollector(config);
    let drain = setTimeout(function again() {
      drain = setTimeout(again, collector.drain() ? DRAIN_MS : QUIET_DRAIN_MS);
    });
    const timers = [
      setInterval(() => collector.refresh(), REFRESH_MS),
      setInterval(() => {
        if (flow === undefined) collector.expire();
        reply({ type: "heartbeat", at: Date.now() });
      }, HOUSEKEEPING_MS),
    ];
    running = {
      collector,
      stop() {
        clearTimeout(drain);
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

async function answerAll(): Promise<void> {
  for (let request = questions[0]; request !== undefined; request = questions[0]) {
    if (running !== undefined) await answer(running.collector, request);
    questions.shift();
  }
}

async function answer(collector: Collector, request: CollectorRequest): Promise<void> {
  const { id } = request;
  try {
    if (request.type === "connections" || request.type === "netMaps") {
      await sendDocument(collector, request);
      reply({ id, type: "done" });
    } else {
      reply({ id, type: "value", value: lookUp(collector, request) });
    }
  } catch (error) {
    reply({ id, type: "error", ...describe(error) });
  }
}

type DocumentRequest = Extract<CollectorRequest, { type: "connections" | "netMaps" }>;

async function sendDocument(collector: Collector, request: DocumentRequest): Promise<void> {
  const { id, format } = request;
  const parts =
    request.type === "netMaps"
      ? collector.netMaps(format)
      : collector.connections(request.clientId, format);
  const control = new FlowControl(PARTS_AHEAD, PATIENCE_MS);
  flow = { id, control };
  try {
    for (const bytes of parts) {
      self.postMessage({ id, type: "chunk", bytes }, [bytes]);
      control.sent();
      collector.drain(); // the ring goes on filling while a large document is made
      if (!(await control.room())) return;
    }
  } finally {
    flow = undefined;
  }
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
