/** Rows (`struct row`) that lie one after another in the record memory. */
export interface RowRun {
  /** Byte offset of the first row. */
  readonly offset: number;
  readonly count: number;
}

/**
 * The connections of one document, open ones before closed ones. They point into the segments and
 * the closed log, which must stay as they are until the rows are disposed of (`using`).
 */
export class Rows implements Disposable {
  #release: (() => void) | undefined;

  constructor(
    readonly active: RowRun,
    readonly closed: RowRun,
    /** What this document's client has to know of its own losses; absolute counts. */
    readonly telemetry: Readonly<Record<string, number>>,
    release: () => void,
  ) {
    this.#release = release;
  }

  get count(): number {
    return this.active.count + this.closed.count;
  }

  [Symbol.dispose](): void {
    this.#release?.();
    this.#release = undefined;
  }
}

/**
 * What changed for a client. Nothing counts as told before `commit`: an answer that fails on its
 * way is repeated by the next one.
 */
export class Delta extends Rows {
  #commit: (() => void) | undefined;

  constructor(
    active: RowRun,
    closed: RowRun,
    telemetry: Readonly<Record<string, number>>,
    handlers: { commit: () => void; release: () => void },
  ) {
    super(active, closed, telemetry, handlers.release);
    this.#commit = handlers.commit;
  }

  /** The client has been told all of it. */
  commit(): void {
    this.#commit?.();
    this.#commit = undefined;
  }

  override [Symbol.dispose](): void {
    this.#commit = undefined;
    super[Symbol.dispose]();
  }
}
