import { PortolanError } from "../model/errors.ts";

/** The command line itself is wrong; the process answers with the usage line and exit code 2. */
export class UsageError extends PortolanError {
  override readonly name = "UsageError";
}
