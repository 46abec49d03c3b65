import { Hono } from "hono";
import type { z } from "zod";
import type { Logger } from "../telemetry/logger.ts";
import { CollectorUnavailableError } from "../tracer/client.ts";
import type { CollectorQuestion, RowFormat } from "../tracer/protocol.ts";
import { type Answer, type Endpoint, serve } from "./endpoint.ts";
import { problem, problemOf } from "./problem.ts";
import { clientQuery, mapsQuery, noQuery } from "./queries.ts";

/** What the app needs of the collector; `CollectorClient` is the real one. */
export interface Collector {
  /** Why it can't answer now; undefined when it can. */
  readonly unavailable: string | undefined;
  ask(question: CollectorQuestion): Promise<unknown>;
  stream(question: CollectorQuestion): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
}

const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";

/** The HTTP interface of design/api.md, for every listener the same. */
export function createApp(collector: Collector, log: Logger): Hono {
  const app = new Hono();

  app.use(async (context, next) => {
    await next();
    const { headers } = context.res;
    // Two equal requests for changes have different answers.
    headers.set("Cache-Control", "no-store");
    // Otherwise Bun would say that the body which HEAD leaves out had no bytes.
    if (context.req.method === "HEAD") headers.set("Transfer-Encoding", "chunked");
  });
  app.notFound(({ req }) => problem(404, { detail: `There is nothing at ${req.path}.` }));
  app.onError((error, { req }) => {
    // A collector that can't answer is logged when it happens, not again with every request.
    if (!(error instanceof CollectorUnavailableError)) {
      log.error(`${req.method} ${req.path} failed`, error);
    }
    return problemOf(error);
  });

  /** What isn't there, such as the state of a client that nobody has heard of, is null. */
  const value = async (question: CollectorQuestion): Promise<Answer> =>
    JSON.stringify((await collector.ask(question)) ?? null);

  serve(app, {
    path: "/connections",
    query: clientQuery,
    answers: rows<typeof clientQuery>((format, { client_id }) =>
      collector.stream({ type: "connections", clientId: client_id, format }),
    ),
    limited: true,
  });
  serve(app, {
    path: "/register",
    query: clientQuery,
    answers: {
      [JSON_TYPE]: async ({ client_id }) => {
        await collector.ask({ type: "register", clientId: client_id });
        return JSON.stringify({ clientId: client_id });
      },
    },
    limited: false,
  });
  serve(app, {
    path: "/debug/net_maps",
    query: noQuery,
    answers: rows((format) => collector.stream({ type: "netMaps", format })),
    limited: true,
  });
  serve(app, {
    path: "/debug/net_state",
    query: clientQuery,
    answers: {
      [JSON_TYPE]: ({ client_id }) => value({ type: "netState", clientId: client_id }),
    },
    limited: true,
  });
  serve(app, {
    path: "/debug/ebpf_maps",
    query: mapsQuery,
    answers: {
      [TEXT_TYPE]: async ({ maps }) => String(await collector.ask({ type: "ebpfMaps", maps })),
    },
    limited: true,
  });
  for (const [path, type] of [
    ["/debug/status", "status"],
    ["/debug/stats", "stats"],
    ["/debug/process_cache", "processCache"],
  ] as const) {
    const answers = { [JSON_TYPE]: () => value({ type }) };
    serve(app, { path, query: noQuery, answers, limited: true });
  }
  serve(app, {
    path: "/health",
    query: noQuery,
    answers: {
      [JSON_TYPE]: async () => {
        if (collector.unavailable === undefined) return JSON.stringify({ status: "ok" });
        throw new CollectorUnavailableError(collector.unavailable);
      },
    },
    limited: false,
  });
  return app;
}

/** The two formats in which the collector encodes rows. */
function rows<Q extends z.ZodObject>(
  answer: (format: RowFormat, query: z.output<Q>) => Promise<Answer>,
): Endpoint<Q>["answers"] {
  return {
    [JSON_TYPE]: (query) => answer("json", query),
    "application/msgpack": (query) => answer("msgpack", query),
  };
}
