import type { Encoding } from "./negotiate.ts";

/** A body of at most this many bytes goes out in one piece, with its length and uncompressed. */
const SMALL_BYTES = 1024;

/**
 * A body as it goes on the wire. A chunk of a stream is valid until the next one is read, so a reader
 * that keeps it has to copy it; the server has written it by then.
 */
export interface Body {
  content: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  encoding: Encoding | undefined;
}

/**
 * Compresses what is over 1 KiB, as it flows: compression runs on threads of the runtime, a chunk at a
 * time, and no more of the document is in memory than the collector has sent and the client not taken.
 */
export async function makeBody(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  encoding: Encoding | undefined,
): Promise<Body> {
  const reader = source.getReader();
  const head: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  while (bytes <= SMALL_BYTES) {
    const { done, value } = await reader.read();
    if (done) return { content: new Uint8Array(Buffer.concat(head)), encoding: undefined };
    head.push(value);
    bytes += value.byteLength;
  }
  const whole = resume(head, reader);
  if (encoding === undefined) return { content: whole, encoding };
  return { content: whole.pipeThrough(compressor(encoding)), encoding };
}

/** The types of the DOM don't know zstd, and take a wider input than streams of bytes have. */
function compressor(encoding: Encoding): TransformStream<Uint8Array, Uint8Array> {
  return new CompressionStream(encoding as "gzip") as unknown as TransformStream<
    Uint8Array,
    Uint8Array
  >;
}

/**
 * What has been read already, then the rest. The memory of a chunk is given back when the next one is
 * asked for: the runtime doesn't count chunks that a worker hands over, and would let hundreds of
 * megabytes of them wait for its garbage collector. Asking for a collection after large bodies was
 * rejected: it stops this thread for 6 to 130 ms.
 */
function resume(
  head: Uint8Array<ArrayBuffer>[],
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): ReadableStream<Uint8Array> {
  let taken: Uint8Array<ArrayBuffer> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        taken?.buffer.transfer(0);
        taken = head.shift() ?? (await reader.read()).value;
        if (taken === undefined) controller.close();
        else controller.enqueue(taken);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
