import { z } from "zod";
import type { CapabilityStatus, RungStatus } from "../model/status.ts";
import { defineCommand } from "./command.ts";
import { startTracer } from "./tracer.ts";

/** The capability without which there is nothing to tell. */
const ESSENTIAL = "tcp_life";

/** `portolan check`: what this kernel and these privileges allow. */
export const check = defineCommand({
  name: "check",
  summary: "says what can be traced on this host, and how; exit code 0 if tracing works",
  options: z.strictObject({
    json: z.boolean().default(false).meta({ description: "print the tracer's status as JSON" }),
  }),
  run: async ({ json }, config, out) => {
    // Whether a hook works shows only when it is attached, so the whole tracer is started for a moment.
    const collector = await startTracer(config);
    const status = await collector.started;
    await collector.stop();
    await out.write(json ? `${JSON.stringify(status)}\n` : checkReport(status.capabilities));
    const essential = status.capabilities.find((capability) => capability.name === ESSENTIAL);
    return essential !== undefined && takenRung(essential) !== undefined ? 0 : 1;
  },
});

function takenRung(capability: CapabilityStatus): RungStatus | undefined {
  return capability.rungs.find((rung) => rung.state === "taken");
}

/** A paragraph for each capability: what it is, the rung taken, why not another, what to do. */
export function checkReport(capabilities: readonly CapabilityStatus[]): string {
  const lines: string[] = [];
  for (const capability of capabilities) {
    const isOff = capability.rungs.every((rung) => rung.state === "off");
    const verdict = takenRung(capability)?.rung ?? (isOff ? "off" : "not available");
    lines.push(`${capability.name}: ${verdict} (${capability.summary})`);
    for (const { rung, state, reason } of capability.rungs) {
      const why = reason === undefined ? "" : `: ${reason}`;
      if (state !== "taken") lines.push(`  ${rung} ${state}${why}`);
    }
    if (capability.advice !== undefined) lines.push(`  advice: ${capability.advice}`);
  }
  return `${lines.join("\n")}\n`;
}
