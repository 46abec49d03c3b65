import type { Encoding } from "./negotiate.ts";

/** A body of at most this many bytes goes out in one piece, with its length and uncompressed. */
const SMALL_BYTES = 1024;

/**
 * After a body of more than this a garbage collection is asked for: the runtime doesn't count the chunks
 * that a worker hands over, and would let hundreds of megabytes of them pile up.
 */
const COLLECT_BYTES = 8 * 1024 * 1024;

/** A body as it goes on the wire. */
export interface Body {
  content: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  encoding: Encoding | undefined;
}

/**
 * Compresses what is over 1 KiB, as it flows: compression runs on threads of the runtime, a chunk at a
 * time, and no more of the document is in memory than the collector has sent and the client not taken.
 */
export async function makeBody(
  source: ReadableStream<Uint8Array>,
  encoding: Encoding | undefined,
): Promise<Body> {
  const reader = source.getReader();
  const head: Uint8Array[] = [];
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

/** What has been read already, then the rest. */
function resume(
  head: Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  let bytes = 0;
  const collect = () => {
    if (bytes > COLLECT_BYTES) Bun.gc(false);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = head.shift() ?? (await reader.read()).value;
        if (chunk === undefined) {
          controller.close();
          return collect();
        }
        bytes += chunk.byteLength;
        controller.enqueue(chunk);
      },
      async cancel(reason) {
        await reader.cancel(reason);
        collect();
      },
    },
    { highWaterMark: 0 },
  );
}
