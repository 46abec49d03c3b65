import { expect, test } from "bun:test";
import { PortolanError } from "../model/errors.ts";
import { Logger, type LogLevel } from "./logger.ts";

function record(least: LogLevel, log: (logger: Logger) => void): string[] {
  const lines: string[] = [];
  log(new Logger(least, (line) => lines.push(line)));
  return lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /, ""));
}

test("a line has time, level, message and fields", () => {
  const lines = record("info", (log) =>
    log.info("it began", { a: 1, b: undefined, c: true, d: "" }),
  );
  expect(lines).toEqual(['info it began a=1 c=true d=""\n']);
});

test("less severe levels are left out", () => {
  const lines = record("warn", (log) => {
    log.debug("1");
    log.info("2");
    log.warn("3");
    log.error("4", "why");
  });
  expect(lines).toEqual(["warn 3\n", "error 4 reason=why\n"]);
});

test("a text can't forge a line or a field", () => {
  const lines = record("info", (log) => log.info("a\nb", { client: 'x" level=error\n' }));
  expect(lines).toEqual(['info "a\\nb" client="x\\" level=error\\n"\n']);
});

test("an error brings its context", () => {
  const error = new PortolanError("load", "tcp_life", "it was refused", 22, "line 1");
  const lines = record("info", (log) => log.error("failed", error));
  expect(lines).toEqual([
    'error failed operation=load object=tcp_life reason="it was refused" errno=22 detail="line 1"\n',
  ]);
});

test("an unforeseen error brings its stack", () => {
  const [line] = record("info", (log) => log.error("failed", new TypeError("x is not y")));
  expect(line).toStartWith('error failed reason="x is not y" stack=');
});
