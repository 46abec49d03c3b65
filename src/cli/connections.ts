import { z } from "zod";
import type { Connections } from "../model/connection.ts";
import { type Ask, askRunning } from "./api.ts";
import { defineCommand } from "./command.ts";
import { connectionTable } from "./connection_table.ts";
import type { Output } from "./output.ts";
import { stopSignal, untilAborted } from "./signals.ts";

const WATCH_MS = 2_000;
/** Cursor to the upper left corner, and clear from there (ECMA-48). */
const CLEAR_SCREEN = "\x1b[H\x1b[J";

/** `portolan connections`: what a running Portolan sees. */
export const connections = defineCommand({
  name: "connections",
  summary: "prints the connections that a running Portolan sees",
  options: z.strictObject({
    client_id: z.string().optional().meta({
      description:
        "print what changed for this client since its last call, with what closed, instead of all that is open",
      placeholder: "ID",
    }),
    json: z.boolean().default(false).meta({ description: "print the document as JSON" }),
    watch: z
      .boolean()
      .default(false)
      .meta({
        description: `print again every ${WATCH_MS / 1000} s; with --json one document a line`,
      }),
  }),
  configuration: ["listen"],
  run: async ({ client_id, json, watch }, config, out) => {
    const ask = askRunning(config.listen);
    const path =
      client_id === undefined
        ? "/debug/net_maps"
        : `/connections?client_id=${encodeURIComponent(client_id)}`;
    const print = json ? printJson : printTable;
    if (!watch) {
      await print(ask, path, out);
      return 0;
    }
    const signal = stopSignal();
    while (!signal.aborted) {
      if (out.isTerminal && !json) await out.write(CLEAR_SCREEN);
      await print(ask, path, out);
      await untilAborted(signal, WATCH_MS);
    }
    return 0;
  },
});

async function printJson(ask: Ask, path: string, out: Output): Promise<void> {
  const { body } = await ask(path);
  for await (const chunk of body ?? []) await out.write(chunk);
  await out.write("\n");
}

async function printTable(ask: Ask, path: string, out: Output): Promise<void> {
  const document = (await (await ask(path)).json()) as Connections;
  await out.write(`${connectionTable(document.conns, out.width)}\n`);
}
