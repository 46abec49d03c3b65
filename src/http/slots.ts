/** How many requests may be under way at once. */
export class Slots {
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** Takes a slot and returns how to give it back (once; more calls do nothing), or undefined. */
  take(): (() => void) | undefined {
    if (this.#free === 0) return undefined;
    this.#free--;
    let held = true;
    return () => {
      if (held) this.#free++;
      held = false;
    };
  }
}

/** The same stream, which calls `release` as soon as it has been read to its end, failed or cancelled. */
export function releasing(
  stream: ReadableStream<Uint8Array>,
  release: () => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          release();
          controller.close();
        } catch (error) {
          release();
          controller.error(error);
        }
      },
      async cancel(reason) {
        release();
        await reader.cancel(reason);
      },
    },
    // Nothing is read ahead: the end is seen when the server has room for it, not before.
    { highWaterMark: 0 },
  );
}
