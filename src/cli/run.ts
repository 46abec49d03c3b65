import { z } from "zod";
import type { Config } from "../config/schema.ts";
import { createApp } from "../http/app.ts";
import { openListeners } from "../http/listener.ts";
import { refuseIfTaken } from "../http/unix_socket.ts";
import type { TracerStatus } from "../model/status.ts";
import { Logger } from "../telemetry/logger.ts";
import type { CollectorClient } from "../tracer/client.ts";
import { VERSION } from "../version.ts";
import { defineCommand } from "./command.ts";
import { requirePrivileges } from "./privileges.ts";
import { stopSignal, untilAborted } from "./signals.ts";
import { startTracer } from "./tracer.ts";

/** `portolan run`: traces and answers until SIGINT or SIGTERM. */
export const run = defineCommand({
  name: "run",
  summary: "traces this host and answers over HTTP, until SIGINT or SIGTERM",
  options: z.strictObject({}),
  run: async (_options, config) => {
    const signal = stopSignal();
    requirePrivileges();
    for (const address of config.listen) {
      if ("unix" in address) await refuseIfTaken(address.unix);
    }
    const log = new Logger(config.log_level);
    const collector = await startTracer(config);
    try {
      logCapabilities(log, await collector.started);
      await answerUntilStopped(config, collector, log, signal);
    } finally {
      await collector.stop();
    }
    return 0;
  },
});

async function answerUntilStopped(
  config: Config,
  collector: CollectorClient,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const app = createApp(collector, log);
  const listeners = await openListeners(config.listen, (request) => app.fetch(request));
  // Without a collector the server stays, so that /health can say what became of it.
  collector.ended.then((reason) => {
    if (!signal.aborted) log.error("the collector has ended", new Error(reason));
  });
  process.stderr.write(greeting(listeners.map((listener) => listener.url)));
  await untilAborted(signal);
  log.info("stopping", { signal: String(signal.reason) });
  await Promise.all(listeners.map((listener) => listener.stop()));
}

function logCapabilities(log: Logger, status: TracerStatus): void {
  for (const { name, rungs, advice } of status.capabilities) {
    const taken = rungs.find((rung) => rung.state === "taken")?.rung;
    const refused = rungs.filter((rung) => rung.state === "refused");
    const why = refused.map(({ rung, reason }) => `${rung}: ${reason}`).join("; ");
    const level = taken === undefined && refused.length > 0 ? "warn" : "info";
    log[level]("capability", { name, rung: taken ?? "none", refused: why || undefined, advice });
  }
}

/** What to try first. The pipe breaks the document into one connection a line and keeps curl's own. */
export function greeting(urls: readonly string[]): string {
  const [url] = urls.filter((candidate) => candidate.startsWith("http:"));
  const socket = urls[0]?.replace(/^unix:/, "");
  const target = url ?? `--unix-socket ${socket} http://localhost`;
  return [
    `Portolan ${VERSION} traces this host and answers at ${urls.join(" and ")}`,
    "Try: " +
      (url === undefined
        ? `curl -s ${target}/connections`
        : `curl -s ${target}/connections | sed 's/{"pid":/\\n&/g' | grep '"comm":"curl"'`),
    "",
  ].join("\n");
}
