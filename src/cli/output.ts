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

/** stdout. Its writes are awaited, so that the process can exit right after the last one. */
export const stdout: Output = {
  write: async (chunk) => {
    await Bun.write(Bun.stdout, chunk);
  },
  isTerminal: process.stdout.isTTY === true,
  width: process.stdout.columns ?? DEFAULT_WIDTH,
};
