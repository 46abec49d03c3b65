import type { Context, Hono } from "hono";
import type { z } from "zod";
import { makeBody } from "./body.ts";
import { preferredEncoding, preferredType } from "./negotiate.ts";
import { problem } from "./problem.ts";
import { releasing, Slots } from "./slots.ts";

/** How many requests at once a data endpoint answers; the others get 429. */
const MAX_AT_ONCE = 2;
/** Every URL that means something is much shorter. */
const MAX_URL_LENGTH = 8192;

/** A body, whole or in parts. */
export type Answer = string | ReadableStream<Uint8Array<ArrayBuffer>>;

/** A `GET` endpoint, which answers `HEAD` as well. */
export interface Endpoint<Q extends z.ZodObject> {
  path: string;
  /** The query parameters, each of which may be given once. */
  query: Q;
  /** How to answer, by media type; the first one is the default. */
  answers: Readonly<Record<string, (query: z.output<Q>) => Promise<Answer>>>;
  /** Whether it is a data endpoint, of which at most two are answered at once. */
  limited: boolean;
}

/** Adds the endpoint to the app; other methods than GET and HEAD get 405. */
export function serve<Q extends z.ZodObject>(app: Hono, endpoint: Endpoint<Q>): void {
  const slots = endpoint.limited ? new Slots(MAX_AT_ONCE) : undefined;
  app.get(endpoint.path, (context) => respond(context, endpoint, slots));
  app.all(endpoint.path, ({ req }) =>
    problem(405, { detail: `${req.path} has no method ${req.method}.` }, { Allow: "GET, HEAD" }),
  );
}

async function respond<Q extends z.ZodObject>(
  context: Context,
  { query, answers }: Endpoint<Q>,
  slots: Slots | undefined,
): Promise<Response> {
  const { req } = context;
  if (req.url.length > MAX_URL_LENGTH) {
    return problem(414, { detail: `The URL is longer than ${MAX_URL_LENGTH} characters.` });
  }
  const types = Object.keys(answers);
  const type = preferredType(req.header("Accept"), types);
  const answer = type === undefined ? undefined : answers[type];
  if (type === undefined || answer === undefined) {
    return problem(406, { detail: `The formats here are ${types.join(", ")}.` });
  }
  const parsed = parseQuery(query, req.queries());
  if (!parsed.success) {
    const { issues } = parsed.error;
    const detail = issues.map(({ path, message }) => [...path, message].join(": ")).join("; ");
    return problem(400, { detail: `${detail}.`, issues });
  }
  const headers = new Headers({ "Content-Type": type, Vary: "Accept, Accept-Encoding" });
  // HEAD must not change anything, but asking for the body would: it moves the client's counters on.
  if (req.method === "HEAD") return new Response(null, { headers });

  const release = slots === undefined ? () => {} : slots.take();
  if (release === undefined) {
    const detail = `${MAX_AT_ONCE} requests for ${req.path} are under way already.`;
    return problem(429, { detail }, { "Retry-After": "1" });
  }
  try {
    const source = await answer(parsed.data);
    const stream = typeof source === "string" ? new Blob([source]).stream() : source;
    const body = await makeBody(stream, preferredEncoding(req.header("Accept-Encoding")));
    if (body.encoding !== undefined) headers.set("Content-Encoding", body.encoding);
    if (body.content instanceof ReadableStream) {
      return new Response(releasing(body.content, release), { headers });
    }
    release();
    return new Response(body.content, { headers });
  } catch (error) {
    release();
    throw error;
  }
}

/** A parameter that is given twice stays a list, which no schema of a parameter accepts. */
function parseQuery<Q extends z.ZodObject>(schema: Q, queries: Record<string, string[]>) {
  const single = Object.entries(queries).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] : values,
  ]);
  return schema.safeParse(Object.fromEntries(single));
}
