/**
 * Decides when a fetch may walk the tasks of the host: only when connections were accepted whose owner
 * nobody has seen yet, and so that walking takes at most a tenth of the time, however large the host.
 */
export class WalkBudget {
  private acceptedBefore = 0;
  private lastEnd = Number.NEGATIVE_INFINITY;
  private lastDuration = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @param accepted connections accepted since the start */
  isDue(accepted: number): boolean {
    return accepted !== this.acceptedBefore && this.now() - this.lastEnd >= 9 * this.lastDuration;
  }

  /** Runs the walk and remembers what it cost. */
  spend(accepted: number, walk: () => void): void {
    const start = this.now();
    walk();
    this.lastEnd = this.now();
    this.lastDuration = this.lastEnd - start;
    this.acceptedBefore = accepted;
  }
}
