import { expect, test } from "bun:test";

const OUTPUT = JSON.stringify(new URL("./output.ts", import.meta.url).href);

/** Runs a program with `out`, a standard output, and returns how to read what it writes. */
function program(body: string) {
  const script = `import { openStdout } from ${OUTPUT}; const out = openStdout(); ${body}`;
  return Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
}

test("all arrives in order, however slow the reader, and although the process exits at once", async () => {
  const child = program(`
    for (let i = 0; i < 40; i++) {
      const text = String(i).padStart(10, "0").repeat(i % 2 ? 10_000 : 100);
      await out.write(i % 3 ? text : new TextEncoder().encode(text));
    }
    process.exit(0);`);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    await Bun.sleep(2);
  }
  const expected = Array.from({ length: 40 }, (_, i) =>
    String(i)
      .padStart(10, "0")
      .repeat(i % 2 ? 10_000 : 100),
  ).join("");
  expect(text === expected).toBeTrue();
});

test("a reader that has gone fails the write, and nothing else", async () => {
  const child = program(`
    const error = await out.write("x".repeat(1_000_000)).catch((thrown) => thrown);
    process.stderr.write(error.code);
    process.exit(0);`);
  await child.stdout.cancel();
  expect(await new Response(child.stderr).text()).toBe("EPIPE");
  expect(await child.exited).toBe(0);
});
