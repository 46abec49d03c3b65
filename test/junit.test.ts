import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJunit } from "./junit.ts";

const TESTS = `
import { describe, expect, test } from "bun:test";
test("plain", () => {});
describe("a <b> & \\"c\\"", () => {
  describe("inner", () => test("nested", () => {}));
  test("wrong", () => expect("<testcase name='fake' />").toBe("other"));
  test.skip("left out", () => {});
  test.todo("to come");
});
`;

test("tells what became of each test, from a report that this Bun writes", () => {
  const dir = mkdtempSync(join(tmpdir(), "portolan-junit-"));
  try {
    writeFileSync(join(dir, "some.test.ts"), TESTS);
    const report = join(dir, "report.xml");
    const args = ["test", "--reporter=junit", `--reporter-outfile=${report}`, "./some.test.ts"];
    const child = Bun.spawnSync([process.execPath, ...args], { cwd: dir });
    expect(child.exitCode).toBe(1);
    const file = "some.test.ts";
    expect(parseJunit(readFileSync(report, "utf8"))).toEqual([
      { file, name: "plain", outcome: "passed" },
      { file, name: 'a <b> & "c" > inner > nested', outcome: "passed" },
      { file, name: 'a <b> & "c" > wrong', outcome: "failed" },
      { file, name: 'a <b> & "c" > left out', outcome: "skipped" },
      { file, name: 'a <b> & "c" > to come', outcome: "skipped", reason: "TODO" },
    ]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("refuses a report that was cut off", () => {
  expect(() => parseJunit('<testsuites name="bun test" tests="1">\n  <testcase na')).toThrow(
    "not complete",
  );
});
