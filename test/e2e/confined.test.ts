/** Places where little is there or allowed, and places that want to do harm. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Ledger } from "../integration/ledger.ts";
import { command } from "../integration/namespaces.ts";
import { chroot, refusing, withMounts } from "./confine.ts";
import { exchangeOnce } from "./exchange.ts";
import { EXECUTABLE, type LaunchOptions, type Sandbox, sandboxed } from "./sandbox.ts";
import type { Tracer } from "./tracer.ts";

/** Holds it to one connection: hooks, WASM and encoders work. */
async function expectToTrace(tracer: Tracer): Promise<void> {
  const ledger = new Ledger(tracer);
  await ledger.register();
  const exchange = await exchangeOnce(1111, 2222);
  expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
}

async function expectToWork(sandbox: Sandbox, options: LaunchOptions): Promise<void> {
  const check = await sandbox.run(["check"], options);
  expect(check).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^tcp_life: tracepoint/),
    stderr: "",
  });
  await expectToTrace(await sandbox.start([], options));
}

sandboxed("a root directory with glibc and nothing else", async (sandbox) => {
  const root = sandbox.path("root");
  const within = chroot(root, EXECUTABLE, await command("ldd", EXECUTABLE));
  const options = { within, executable: "/portolan", environment: { TMPDIR: "" } };
  const check = await sandbox.run(["check"], options);
  expect(check).toMatchObject({ code: 0, stderr: "" });
  const tracer = await sandbox.start([], {
    ...options,
    socket: "/run/portolan.sock",
    reach: (pid) => `/proc/${pid}/root/run/portolan.sock`,
  });
  const files = await command("find", `/proc/${tracer.pid}/root/`, "-xdev", "-type", "f");
  expect(files).toContain("/libc.so.6\n");
  expect(files).not.toMatch(/libbpf|libelf|libz/);
  expect(readdirSync(`/proc/${tracer.pid}/root`)).not.toContain("tmp");
  await expectToTrace(tracer);
});

for (const option of ["ro", "noexec"]) {
  sandboxed(`TMPDIR mounted ${option}`, async (sandbox) => {
    const within = withMounts(`mount -t tmpfs -o ${option} none ${sandbox.tmp}`);
    await expectToWork(sandbox, { within });
  });
}

const MEMFD_NOEXEC = "/proc/sys/vm/memfd_noexec";

if (existsSync(MEMFD_NOEXEC)) {
  sandboxed("memory files may not be executed, TMPDIR noexec: sealed ones do", async (sandbox) => {
    // The switch is the PID namespace's, and can't be turned back in it.
    const script = `echo 2 >${MEMFD_NOEXEC}; mount -t tmpfs -o noexec none ${sandbox.tmp}; exec "$@"`;
    const within = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-ec", script, "sh"];
    const check = await sandbox.run(["check"], { within });
    expect(check).toMatchObject({ code: 0, stderr: "" });
  });
} else {
  test.skip("vm.memfd_noexec: needs Linux 6.3", () => {});
}

sandboxed(
  "memory files refused: the libraries come by TMPDIR, and nothing stays there",
  async (sandbox) => {
    await expectToWork(sandbox, { within: await refusing("memfd_create") });
  },
);

sandboxed("memory files refused and TMPDIR noexec: the error names both", async (sandbox) => {
  const within = withMounts(`mount -t tmpfs -o noexec none ${sandbox.tmp}`);
  within.push(...(await refusing("memfd_create")));
  const { code, stdout, stderr } = await sandbox.run(["run"], { within });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^portolan: start the tracer: load library lib\S+: .*memfd_create/);
  expect(stderr).toContain("failed to map segment");
});

/** Files that would run, or change what runs, if somebody read them in the working directory. */
function plant(directory: string, evidence: string): void {
  const crime = (name: string) =>
    `require("node:fs").writeFileSync(${JSON.stringify(join(evidence, name))}, "");`;
  const files: Record<string, string> = {
    "bunfig.toml": 'preload = ["./preload.cjs"]\n[test]\npreload = ["./preload.cjs"]\n',
    "preload.cjs": crime("preload"),
    ".env": [
      "PORTOLAN_LISTEN=127.0.0.1:1",
      "PORTOLAN_NO_SUCH_KEY=1",
      "PORTOLAN_LOG_LEVEL=error",
      "BUN_OPTIONS=--preload ./preload.cjs",
      "NODE_OPTIONS=--require ./preload.cjs",
      "LD_PRELOAD=./nothing.so",
    ].join("\n"),
    "package.json": '{"name": "planted", "imports": {"#x": "./preload.cjs"}}',
    "tsconfig.json": '{"compilerOptions": {"paths": {"*": ["./*"]}}}',
  };
  for (const extension of ["js", "ts"]) {
    for (const folder of ["", "tracer/", "src/tracer/", "root/", "$bunfs/root/"]) {
      const name = `${folder}collector.worker.${extension}`;
      files[name] = crime(`worker-${name.replaceAll("/", "-")}`);
    }
    files[`main.${extension}`] = crime(`main-${extension}`);
  }
  for (const name of ["hono", "zod", "yaml", "bun:ffi"]) {
    files[`node_modules/${name}/index.js`] = crime(`module-${name}`);
  }
  for (const name of ["libbpf.so.1", "libdl.so.2", "dist/bpf/tcp_life.bpf.o"]) files[name] = "";
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

sandboxed("a working directory full of traps", async (sandbox) => {
  const evidence = sandbox.path("evidence");
  mkdirSync(evidence);
  plant(sandbox.path("cwd"), evidence);
  const names = readdirSync(sandbox.path("cwd"), { recursive: true }).sort();

  // The traps are real: Bun itself walks into them.
  const bun = [process.execPath, "-e", "0"];
  await Bun.spawn(bun, { cwd: sandbox.path("cwd"), stderr: "ignore" }).exited;
  expect(readdirSync(evidence)).toEqual(["preload"]);
  await command("rm", join(evidence, "preload"));

  const tracer = await sandbox.start();
  expect(tracer.stderr).toContain(" info "); // the log level of .env is "error"
  await expectToTrace(tracer);
  for (const words of [["check"], ["connections", "--listen", `unix:${sandbox.socket}`]]) {
    expect(await sandbox.run(words)).toMatchObject({ code: 0, stderr: "" });
  }
  expect(await tracer.stop()).toBe(0);
  expect(readdirSync(evidence)).toEqual([]);
  expect(readdirSync(sandbox.path("cwd"), { recursive: true }).sort()).toEqual(names);
  expect(existsSync(sandbox.path("run"))).toBe(false);
});

sandboxed("code from the environment: refused before it runs", async (sandbox) => {
  const evidence = sandbox.path("evidence");
  mkdirSync(evidence);
  plant(sandbox.path("cwd"), evidence);
  const preload = sandbox.path("cwd/preload.cjs");
  const environment = { BUN_OPTIONS: `--preload ${preload}` };
  const { code, stdout } = await sandbox.run(["--version"], { environment });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(readdirSync(evidence)).toEqual([]);
});
