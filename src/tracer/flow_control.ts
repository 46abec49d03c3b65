/**
 * Bounds how far the maker of an answer runs ahead of its reader, and for how long it waits for him: a
 * large answer to a quick reader takes little memory, and a slow reader can't hold up the others.
 */
export class FlowControl {
  #ahead = 0;
  #cancelled = false;
  #wake = () => {};
  /** Milliseconds left to wait. */
  #patience: number;

  /**
   * @param limit parts that may be under way
   * @param patience milliseconds to wait in all; afterwards there is always room
   */
  constructor(
    private readonly limit: number,
    patience: number,
  ) {
    this.#patience = patience;
  }

  sent(): void {
    this.#ahead++;
  }

  taken(): void {
    this.#ahead--;
    this.#wake();
  }

  cancel(): void {
    this.#cancelled = true;
    this.#wake();
  }

  /** Fulfilled when another part may be sent; with false when nobody wants it. */
  async room(): Promise<boolean> {
    while (!this.#cancelled && this.#ahead >= this.limit && this.#patience > 0) {
      const start = performance.now();
      await this.#nextChange();
      this.#patience -= performance.now() - start;
    }
    return !this.#cancelled;
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#patience);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
