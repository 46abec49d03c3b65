/** Kernels and privileges that don't allow it: one clear message, exit code 1, nothing left. */
import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TracerStatus } from "../../src/model/status.ts";
import { Ledger } from "../integration/ledger.ts";
import { AS_NOBODY, hiding, refusing, withMounts } from "./confine.ts";
import { exchangeOnce } from "./exchange.ts";
import { EXECUTABLE, type LaunchOptions, type Sandbox, sandboxed } from "./sandbox.ts";

const KERNEL_BTF = "/sys/kernel/btf";

/** Runs each command that traces; all must fail in the same way, with one line first that matches. */
async function expectRefusal(
  sandbox: Sandbox,
  options: LaunchOptions,
  reason: RegExp,
  flags: string[] = [],
): Promise<void> {
  const listen = ["--listen", `unix:${sandbox.socket}`];
  for (const command of ["run", "check", "debug-dump"]) {
    const outcome = await sandbox.run([command, ...listen, ...flags], options);
    expect(outcome).toEqual({ code: 1, stdout: "", stderr: expect.stringMatching(/^portolan: /) });
    expect(outcome.stderr.split("\n")[0]).toMatch(reason);
    expect(existsSync(sandbox.socket)).toBe(false);
  }
}

describe("privileges", () => {
  sandboxed("nobody: one sentence that names the capabilities", async (sandbox) => {
    // Under a path that is open to everybody, wherever the repository is.
    const executable = sandbox.path("portolan");
    chmodSync(sandbox.path("."), 0o755);
    writeFileSync(executable, "");
    const within = [...withMounts(`mount --bind ${EXECUTABLE} ${executable}`), ...AS_NOBODY];
    const missing = /missing CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN: run it as root/;
    await expectRefusal(sandbox, { within, executable }, missing);
    const { stderr } = await sandbox.run(["run"], { within, executable });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  sandboxed("root with the named capabilities and no other: enough", async (sandbox) => {
    const within = ["setpriv", "--bounding-set=-all,+bpf,+perfmon,+net_admin"];
    expect(await sandbox.run(["check"], { within })).toMatchObject({ code: 0, stderr: "" });
  });

  sandboxed("one capability short: that one is named", async (sandbox) => {
    const within = ["setpriv", "--bounding-set=-all,+bpf,+net_admin"];
    await expectRefusal(sandbox, { within }, /missing CAP_PERFMON: run it as root/);
  });

  sandboxed("root of a user namespace only: it isn't enough, and that is said", async (sandbox) => {
    const within = ["unshare", "--user", "--map-root-user"];
    await expectRefusal(sandbox, { within }, /EPERM.*initial user namespace/);
  });

  sandboxed("bpf() forbidden, as by the filters of containers", async (sandbox) => {
    await expectRefusal(sandbox, { within: await refusing("bpf") }, /EPERM.*seccomp filter/);
  });
});

sandboxed("a kernel that is locked down", async (sandbox) => {
  const directory = "/sys/kernel/security";
  const within = withMounts(
    `mount -t tmpfs none ${directory}; echo "none integrity [confidentiality]" >${directory}/lockdown`,
  );
  within.push(...(await refusing("bpf")));
  await expectRefusal(sandbox, { within }, /tcp_life: the kernel is locked down/);
});

describe("BTF", () => {
  sandboxed("a kernel without it: the message names --btf", async (sandbox) => {
    await expectRefusal(sandbox, { within: hiding(KERNEL_BTF) }, /BTF.*--btf FILE/);
  });

  sandboxed("a kernel without it, and --btf: traces as ever", async (sandbox) => {
    const copy = sandbox.path("btf");
    copyFileSync(`${KERNEL_BTF}/vmlinux`, copy);
    const tracer = await sandbox.start(["--btf", copy], { within: hiding(KERNEL_BTF) });
    const status = await tracer.json<TracerStatus>("/debug/status");
    const refused = status.capabilities.flatMap(({ name, rungs }) =>
      rungs.some(({ state }) => state === "refused") ? [name] : [],
    );
    expect(refused).toEqual([]);
    const ledger = new Ledger(tracer);
    await ledger.register();
    const exchange = await exchangeOnce(50, 60);
    expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
  });

  sandboxed("--btf with a file that isn't there", async (sandbox) => {
    const missing = sandbox.path("missing");
    await expectRefusal(sandbox, {}, new RegExp(`BTF of ${missing}: .*\\(ENOENT\\)`), [
      ...["--btf", missing],
    ]);
  });

  sandboxed("--btf with a file that is something else", async (sandbox) => {
    const garbage = sandbox.path("garbage");
    for (const text of ["", "garbage", "\x7fELF".padEnd(4096, "\0")]) {
      writeFileSync(garbage, text);
      await expectRefusal(sandbox, {}, new RegExp(`BTF of ${garbage}: `), ["--btf", garbage]);
    }
  });
});

describe("libbpf", () => {
  sandboxed("--libbpf with a file that isn't there, or is something else", async (sandbox) => {
    const path = sandbox.path("libbpf.so");
    await expectRefusal(sandbox, {}, new RegExp(`load library ${path}: `), ["--libbpf", path]);
    writeFileSync(path, "garbage");
    await expectRefusal(sandbox, {}, new RegExp(`load library ${path}: `), ["--libbpf", path]);
  });

  sandboxed("--libbpf with another one: that one is used", async (sandbox) => {
    // The build takes the distribution's; here it comes from a path, with its dependencies from the system.
    const copy = sandbox.path("libbpf.so");
    copyFileSync(join(dirname(EXECUTABLE), "lib/libbpf.so.1"), copy);
    const tracer = await sandbox.start(["--libbpf", copy]);
    const maps = await Bun.file(`/proc/${tracer.pid}/maps`).text();
    expect(maps).toContain(copy);
    expect(maps).not.toContain("memfd:libbpf");
  });
});

sandboxed(
  "no cgroup v2 to be had: UDP is refused with its reason, TCP is traced",
  async (sandbox) => {
    const within = withMounts(
      "sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \\([^ ]*\\) .* - cgroup2 .*/\\1/p' /proc/self/mountinfo | xargs -r umount",
    );
    within.push(...(await refusing("fsopen")));
    const check = await sandbox.run(["check"], { within });
    expect(check).toMatchObject({ code: 0, stderr: "" });
    expect(check.stdout).toContain(
      [
        "udp: not available (UDP datagrams and bytes by peer)",
        "  cgroup refused: mount file system cgroup2: operation not permitted (EPERM)",
        "  advice: needs cgroup v2 in the kernel and CAP_NET_ADMIN",
      ].join("\n"),
    );
    const tracer = await sandbox.start([], { within });
    expect(tracer.stderr).toMatch(/ warn capability name=udp rung=none refused="cgroup: .*cgroup2/);
    const ledger = new Ledger(tracer);
    await ledger.register();
    const exchange = await exchangeOnce(70, 80);
    expect(await exchange.settle(ledger, 1)).toEqual(exchange.wanted(1));
  },
);

sandboxed("cgroup v2 mounted, but nothing may be mounted: the mount is used", async (sandbox) => {
  const check = await sandbox.run(["check"], {
    within: [...withMounts(`mount -t cgroup2 none ${sandbox.tmp}`), ...(await refusing("fsopen"))],
  });
  expect(check).toMatchObject({ code: 0, stderr: "" });
  expect(check.stdout).toContain("\nudp: cgroup (");
});

test("the filter of these tests does filter", async () => {
  const [refuse = "", ...words] = await refusing("fsopen", "bpf");
  const child = Bun.spawn([refuse, ...words, "grep", "Seccomp:", "/proc/self/status"]);
  expect(await Bun.readableStreamToText(child.stdout)).toBe("Seccomp:\t2\n");
});
