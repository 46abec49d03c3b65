import { STATUS_CODES } from "node:http";
import { PortolanError } from "../model/errors.ts";
import { CollectorUnavailableError } from "../tracer/client.ts";

/** Members of a problem document beside `title` and `status`. */
export interface ProblemDetails {
  /** One sentence for a person. */
  detail: string;
  /** What zod found wrong with the parameters. */
  issues?: readonly object[];
  operation?: string;
  object?: string;
  reason?: string;
  errno?: number;
}

/**
 * A problem document, RFC 9457. Its `type` is the default, about:blank, by which the title is that of
 * the status code.
 */
export function problem(
  status: number,
  details: ProblemDetails,
  headers: Record<string, string> = {},
): Response {
  return Response.json(
    { title: STATUS_CODES[status], status, ...details },
    { status, headers: { ...headers, "Content-Type": "application/problem+json" } },
  );
}

/** The problem document for what a handler threw: the one place where errors become statuses. */
export function problemOf(error: unknown): Response {
  if (error instanceof CollectorUnavailableError) {
    const { reason } = error;
    return problem(503, { detail: `The collector can't answer: ${reason}.`, reason });
  }
  if (error instanceof PortolanError) {
    const { operation, object, reason, errno } = error;
    const context = { operation, object, reason, ...(errno !== undefined && { errno }) };
    return problem(500, { detail: `${error.message}.`, ...context });
  }
  return problem(500, { detail: "An error in Portolan itself; its log says more." });
}
