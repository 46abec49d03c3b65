import { expect, test } from "bun:test";
import { checkReport } from "./check.ts";

test("each capability says what was taken, why not another, and what to do", () => {
  const report = checkReport([
    {
      name: "tcp_life",
      summary: "TCP connections",
      rungs: [
        { rung: "fentry", state: "refused", reason: "no BTF of the function" },
        { rung: "tracepoint", state: "taken" },
        { rung: "kprobe", state: "untried" },
      ],
    },
    {
      name: "udp",
      summary: "UDP flows",
      rungs: [{ rung: "cgroup", state: "refused", reason: "no cgroup v2" }],
      advice: "mount cgroup2",
    },
  ]);
  expect(report).toBe(
    [
      "tcp_life: tracepoint (TCP connections)",
      "  fentry refused: no BTF of the function",
      "  kprobe untried",
      "udp: not available (UDP flows)",
      "  cgroup refused: no cgroup v2",
      "  advice: mount cgroup2",
      "",
    ].join("\n"),
  );
});
