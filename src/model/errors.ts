/** What went wrong, on what, and how the kernel called it: the base of every error that Portolan throws. */
export class PortolanError extends Error {
  override readonly name: string = "PortolanError";

  constructor(
    /** What was being done, as a user would say it: "load BPF object", "open unix socket". */
    readonly operation: string,
    /** What it was done to: a path, a program, an address. */
    readonly object: string,
    /** Why it failed, one sentence without a full stop. */
    readonly reason: string,
    /** The positive errno, where the kernel gave one. */
    readonly errno?: number,
    /** More lines for a person who wants to know, such as the end of the verifier's log. */
    readonly detail?: string,
  ) {
    super(`${operation} ${object}: ${reason}`);
  }
}
