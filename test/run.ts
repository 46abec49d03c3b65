/**
 * Runs the checks and the test suites, one after another, and ends with one line of counts:
 * `N passed, N failed` and, where there are any, `, N skipped`. With arguments: only the suites whose name contains one.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { parseJunit, type TestCase } from "./junit.ts";

const root = join(import.meta.dir, "..");
const bin = join(root, "node_modules/.bin");

/** Commands that must succeed; each counts as one test of the suite `check`. */
const CHECKS: Record<string, string[]> = {
  format: [join(bin, "biome"), "format", "."],
  "lint and import order": [
    ...[join(bin, "biome"), "check", "--formatter-enabled=false", "--error-on-warnings", "."],
  ],
  types: [join(bin, "tsc"), "--noEmit", "-p", "."],
  "C format": ["clang-format", "--dry-run", "--Werror", ...find("{bpf,src,test}/**/*.{c,h}")],
  "import rules": [process.execPath, "test/rooms.ts"],
};

/** Suites of `bun test`: where their files are, and the time in ms that a test may take if it doesn't say so itself. */
const SUITES = {
  unit: { patterns: ["src/**/*.test.ts", "ffi/**/*.test.ts", "test/*.test.ts"], timeout: 10_000 },
  integration: { patterns: ["test/integration/**/*.test.ts"], timeout: 120_000 },
  e2e: { patterns: ["test/e2e/**/*.test.ts"], timeout: 120_000 },
};

function find(...patterns: string[]): string[] {
  return patterns.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(root)]).sort();
}

function check(): TestCase[] {
  return Object.entries(CHECKS).map(([name, command]) => {
    const child = Bun.spawnSync(command, { cwd: root, stderr: "pipe" });
    const outcome = child.exitCode === 0 ? "passed" : "failed";
    if (outcome === "failed") console.error(`${child.stdout}${child.stderr}`);
    console.error(`(${outcome === "passed" ? "pass" : "fail"}) ${name}`);
    return { file: "check", name, outcome };
  });
}

/**
 * One process for the whole suite, one test at a time: integration tests count the traffic of the host. Whatever keeps
 * a test from being told in the report, such as a file that does not load or a crash, is a failure in the result.
 */
function suite(name: string, patterns: string[], timeout: number): TestCase[] {
  const files = find(...patterns);
  const report = join(root, `dist/test/${name}.xml`);
  const failure = (reason: string): TestCase => {
    console.error(`(fail) ${name}: ${reason}`);
    return { file: name, name: reason, outcome: "failed" };
  };
  if (files.length === 0) return [failure("it has no test files")];
  mkdirSync(join(root, "dist/test"), { recursive: true });
  rmSync(report, { force: true });
  const child = Bun.spawnSync(
    [
      ...[process.execPath, "test", "--reporter=junit", `--reporter-outfile=${report}`],
      ...[`--timeout=${timeout}`, "--max-concurrency=1", ...files.map((file) => `./${file}`)],
    ],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
  );
  let cases: TestCase[];
  try {
    cases = parseJunit(readFileSync(report, "utf8"));
  } catch (error) {
    const status = child.signalCode ?? `exit code ${child.exitCode}`;
    return [failure(`no report (${status}): ${error instanceof Error ? error.message : error}`)];
  }
  const told = new Set(cases.map(({ file }) => relative(root, join(root, file))));
  cases.push(
    ...files.filter((file) => !told.has(file)).map((file) => failure(`no test of ${file} ran`)),
  );
  if (child.exitCode !== 0 && cases.every(({ outcome }) => outcome !== "failed")) {
    cases.push(failure("bun test failed, but no test of the report did"));
  }
  return cases;
}

const wanted = process.argv.slice(2);
const runs: [string, () => TestCase[]][] = [["check", check]];
for (const [name, { patterns, timeout }] of Object.entries(SUITES)) {
  const directories = patterns.map((pattern) => join(root, pattern.slice(0, pattern.indexOf("*"))));
  if (directories.some(existsSync)) runs.push([name, () => suite(name, patterns, timeout)]);
}

const results: TestCase[] = [];
for (const [name, run] of runs) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  console.error(`\n--- ${name}`);
  results.push(...run());
}

const count = (outcome: TestCase["outcome"]) => results.filter((t) => t.outcome === outcome).length;
for (const { file, name, outcome, reason } of results) {
  if (outcome === "skipped") console.error(`(skip) ${file}: ${name}${reason ? `: ${reason}` : ""}`);
}
if (results.length === 0) console.error(`no suite is called like ${wanted.join(" or ")}`);
const skipped = count("skipped") === 0 ? "" : `, ${count("skipped")} skipped`;
console.log(`${count("passed")} passed, ${count("failed")} failed${skipped}`);
process.exit(count("failed") > 0 || results.length === 0 ? 1 : 0);
