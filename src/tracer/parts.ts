/** What a reader does that the other thread should know. */
export interface PartsReader {
  /** One part has been taken. */
  taken(): void;
  /** No further part will be taken. */
  cancelled(): void;
}

/**
 * The parts of an answer between the thread that makes them and the one reader that takes them. Unlike a
 * stream's own queue it tells when a part is taken, so that the maker need not run far ahead.
 */
export class Parts {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #queue: ArrayBuffer[] = [];
  #ended = false;
  #failure: Error | undefined;
  #wake = () => {};

  constructor(reader: PartsReader) {
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          while (this.#queue.length === 0 && !this.#ended && this.#failure === undefined) {
            await new Promise<void>((resolve) => {
              this.#wake = resolve;
            });
          }
          if (this.#failure !== undefined) return controller.error(this.#failure);
          const part = this.#queue.shift();
          if (part === undefined) return controller.close();
          controller.enqueue(new Uint8Array(part));
          reader.taken();
        },
        cancel: () => {
          this.#queue.length = 0;
          reader.cancelled();
        },
      },
      { highWaterMark: 0 },
    );
  }

  push(part: ArrayBuffer): void {
    this.#queue.push(part);
    this.#wake();
  }

  /** There are no more parts; those pushed before are still read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The answer is incomplete: the reader gets the error, not the parts that wait. */
  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }
}
