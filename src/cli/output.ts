/** Where a command's data goes; fulfilled when it has been written. */
export interface Output {
  write(chunk: string | Uint8Array): Promise<void>;
  /** Whether a person is looking. */
  readonly isTerminal: boolean;
  /** In characters. */
  readonly width: number;
}

/** The width that tables are made for where no terminal says otherwise. */
const DEFAULT_WIDTH = 120;

/**
 * stdout. Its writes are awaited, so that the process can exit right after the last one. Not
 * `Bun.write(Bun.stdout, …)`: once `process.stdout` has been touched, Bun 1.4.5 writes parts of a long
 * chunk twice when the reader of a pipe is slow.
 */
export function openStdout(): Output {
  const { stdout } = process;
  // Each failed write is told by its callback; without a listener it would end the process as well.
  stdout.on("error", () => {});
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
    isTerminal: stdout.isTTY === true,
    width: stdout.columns ?? DEFAULT_WIDTH,
  };
}
