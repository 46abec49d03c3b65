import { z } from "zod";

/** No parameter at all: an unknown one is more likely a slip of the pen than meant to be ignored. */
export const noQuery = z.strictObject({});

/** The client whose changes are asked for; `-1` is the debug client. */
export const clientQuery = z.strictObject({
  client_id: z
    .string()
    .regex(/^[^\p{Cc}]{1,128}$/u, "expected 1 to 128 characters, none of them a control character")
    .default("-1"),
});

/** Which kernel maps to dump, by name; none: all of them. */
export const mapsQuery = z.strictObject({
  maps: z
    .string()
    .regex(/^\w+(,\w+)*$/, "expected names of maps, separated by commas")
    .transform((names) => names.split(","))
    .default([]),
});
