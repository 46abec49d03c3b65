/** Climbing a capability's ladder by real attempts. */
import { NativeError } from "../../../ffi/errors.ts";
import type { CapabilityStatus, RungStatus } from "../../model/status.ts";
import type { Capability, Family } from "./capabilities.ts";
import { type LoadContext, Rung } from "./rung.ts";

/** Tries the ways best first and keeps the first that the kernel takes. */
export function climb(
  capability: Capability,
  context: LoadContext,
  forced: Family | "auto",
): { status: CapabilityStatus; rung?: Rung; refusal?: NativeError } {
  const rungs: RungStatus[] = [];
  let taken: Rung | undefined;
  let refusal: NativeError | undefined;
  for (const way of capability.ways) {
    if (taken !== undefined) {
      rungs.push({ rung: way.name, state: "untried", reason: "a better rung is taken" });
    } else if (forced !== "auto" && way.family !== forced) {
      rungs.push({ rung: way.name, state: "off", reason: `--attach ${forced}` });
    } else {
      const rung = new Rung(context);
      try {
        way.start(rung);
        taken = rung;
        rungs.push({ rung: way.name, state: "taken" });
      } catch (error) {
        rung.close();
        if (!(error instanceof NativeError)) throw error;
        refusal ??= error;
        rungs.push({ rung: way.name, state: "refused", reason: error.message });
      }
    }
  }
  const status: CapabilityStatus = { name: capability.name, summary: capability.summary, rungs };
  if (taken === undefined) status.advice = capability.advice;
  return {
    status,
    ...(taken && { rung: taken }),
    ...(refusal && { refusal }),
  };
}

/** The status of a capability that the configuration has switched off. */
export function switchedOff(capability: Capability, reason: string): CapabilityStatus {
  return {
    name: capability.name,
    summary: capability.summary,
    rungs: capability.ways.map((way) => ({ rung: way.name, state: "off", reason })),
    advice: capability.advice,
  };
}
