import { z } from "zod";
import type { Config } from "../config/schema.ts";
import { createApp } from "../http/app.ts";
import type { TracerStatus } from "../model/status.ts";
import { Logger } from "../telemetry/logger.ts";
import { type Ask, askRunning, checked, NotRunningError } from "./api.ts";
import { defineCommand } from "./command.ts";
import type { Output } from "./output.ts";
import { startTracer } from "./tracer.ts";

/** The sections of the dump, in order, and where each comes from. */
const SECTIONS = {
  status: "/debug/status",
  netMaps: "/debug/net_maps",
  netState: "/debug/net_state",
  stats: "/debug/stats",
  processCache: "/debug/process_cache",
  tables: "/debug/status",
} as const;
type Section = keyof typeof SECTIONS;
const SECTION_NAMES = Object.keys(SECTIONS) as Section[];

/** `portolan debug-dump`: all that a Portolan knows, as one JSON document. */
export const debugDump = defineCommand({
  name: "debug-dump",
  summary: "prints the inner state of the running Portolan, or of a short trace, as JSON",
  options: z.strictObject({
    section: z.array(z.enum(SECTION_NAMES)).default(SECTION_NAMES).meta({
      description: "what to print",
      placeholder: "NAME",
    }),
    client_id: z.string().default("-1").meta({
      description: "the client whose state netState is",
      placeholder: "ID",
    }),
    duration: z.number().min(0).max(3600).default(2).meta({
      description: "how long to trace where no Portolan is running",
      placeholder: "SECONDS",
    }),
  }),
  run: async ({ section, client_id, duration }, config, out) => {
    const running = await findRunning(config);
    if (running !== undefined) {
      await dump(running, section, client_id, out);
      return 0;
    }
    const collector = await startTracer(config);
    try {
      const app = createApp(collector, new Logger(config.log_level));
      await Bun.sleep(duration * 1000);
      await dump(async (path) => checked(await app.request(path)), section, client_id, out);
    } finally {
      await collector.stop();
    }
    return 0;
  },
});

async function findRunning(config: Config): Promise<Ask | undefined> {
  if (!config.listen.some((address) => "unix" in address)) return undefined;
  const ask = askRunning(config.listen);
  try {
    await ask("/debug/status");
    return ask;
  } catch (error) {
    if (error instanceof NotRunningError) return undefined;
    throw error;
  }
}

/** Passes each section on as it comes: the maps of a busy host are too big to be parsed for nothing. */
export async function dump(
  ask: Ask,
  sections: readonly Section[],
  clientId: string,
  out: Output,
): Promise<void> {
  let separator = "{";
  for (const section of SECTION_NAMES.filter((name) => sections.includes(name))) {
    const query = section === "netState" ? `?client_id=${encodeURIComponent(clientId)}` : "";
    const response = await ask(SECTIONS[section] + query);
    await out.write(`${separator}${JSON.stringify(section)}:`);
    if (section === "tables") {
      const { tables } = JSON.parse(await textOf(response)) as TracerStatus;
      await out.write(JSON.stringify(tables));
    } else {
      for await (const chunk of response.body ?? []) await out.write(chunk);
    }
    separator = ",";
  }
  await out.write("}\n");
}

/** Not `response.text()`, which keeps the chunks: each is valid only until the next one is read (src/http/body.ts). */
async function textOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body ?? []) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
