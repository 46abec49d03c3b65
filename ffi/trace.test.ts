import { expect, test } from "bun:test";

/** Runs ten native calls and returns what is on stderr. */
function run(environment: Record<string, string>): string {
  const script = `
    import { monotonicNow } from "${import.meta.dir}/libc.ts";
    for (let i = 0; i < 10; i++) monotonicNow();
  `;
  const child = Bun.spawnSync([process.execPath, "-e", script], {
    env: { ...process.env, ...environment },
  });
  expect(child.exitCode).toBe(0);
  return child.stderr.toString();
}

test("native calls are counted and timed when asked for", () => {
  const output = run({ PORTOLAN_TRACE_FFI: "1" });
  expect(output).toMatch(
    /^ffi libc\.clock_gettime count=10 avg=\d+ns p50=\d+ns p90=\d+ns p99=\d+ns$/m,
  );
  expect(output).not.toContain("count=0");
});

test("nothing is printed otherwise", () => {
  expect(run({ PORTOLAN_TRACE_FFI: "" })).toBe("");
});
