/** The levels of the log, least severe first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What is known beside the message; undefined values are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Writes one line a record: time in UTC, level, message, `key=value` fields. Lines go to stderr, as
 * stdout is for data.
 */
export class Logger {
  readonly #least: number;
  readonly #write: (line: string) => void;

  constructor(
    least: LogLevel,
    write: (line: string) => void = (line) => void process.stderr.write(line),
  ) {
    this.#least = LOG_LEVELS.indexOf(least);
    this.#write = write;
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }

  /** Logs what was thrown, with the context that it carries (operation, object, reason, errno). */
  error(message: string, thrown: unknown): void {
    this.#log("error", message, fieldsOf(thrown));
  }

  #log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#least) return;
    let line = `${new Date().toISOString()} ${level} ${quote(message, /[\p{Cc}]/u)}`;
    for (const [key, value] of Object.entries(fields)) {
      if (value !== undefined) line += ` ${key}=${quote(String(value), /[\s"=\p{Cc}]|^$/u)}`;
    }
    this.#write(`${line}\n`);
  }
}

/** Quotes a text that `unsafe` matches, so that what is logged can't forge a field or a line. */
function quote(text: string, unsafe: RegExp): string {
  return unsafe.test(text) ? JSON.stringify(text) : text;
}

/** By shape and not by class: errors of ffi/ carry the same fields, but share no base class. */
function fieldsOf(thrown: unknown): LogFields {
  if (!(thrown instanceof Error)) return { reason: String(thrown) };
  const fields: Record<string, string | number> = {};
  for (const name of ["operation", "object", "reason", "errno", "detail"] as const) {
    const value: unknown = Reflect.get(thrown, name);
    if (typeof value === "string" || typeof value === "number") fields[name] = value;
  }
  return "reason" in fields ? fields : { reason: thrown.message, stack: thrown.stack };
}
