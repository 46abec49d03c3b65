/**
 * The benchmarks: `main.ts [--json] [NAME…]`. A Markdown report, or with `--json` one JSON document, goes
 * to stdout; with PORTOLAN_WRITE_DOCS=1 a run of all of them is written to docs/performance.md too.
 * Nothing here fails because of a figure: what was promised is told as met, missed or undecided.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { VERSION } from "../../src/version.ts";
import { loadedPrograms } from "./bpf_programs.ts";
import { fetches } from "./fetch.ts";
import { hooks } from "./hooks.ts";
import { type Report, toMarkdown } from "./report.ts";
import { start } from "./start.ts";
import { state } from "./state.ts";

const DOCUMENT = join(import.meta.dir, "../../docs/performance.md");
const BENCHMARKS: Record<string, () => Report | Promise<Report>> = {
  hooks: () => hooks(),
  fetch: () => fetches(),
  start: () => start(),
  state: () => state(),
};
const NAMES = Object.keys(BENCHMARKS);

/** One run. */
interface Run {
  portolan: string;
  date: string;
  machine: string;
  /** Names of BPF programs that others had loaded: their cost is part of every figure. */
  otherPrograms: string[];
  seconds: number;
  reports: Report[];
}

/** Says what is wrong and ends. */
function refuse(exitCode: number, message: string): never {
  console.error(`bench: ${message}`);
  process.exit(exitCode);
}

async function run(names: readonly string[]): Promise<Run> {
  const began = performance.now();
  const otherPrograms = loadedPrograms().map(({ name }) => name);
  const reports: Report[] = [];
  for (const name of names) {
    console.error(`bench: ${name}`);
    const report = await BENCHMARKS[name]?.();
    if (report !== undefined) reports.push(report);
  }
  return {
    portolan: VERSION,
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    otherPrograms,
    seconds: Math.round((performance.now() - began) / 1000),
    reports,
  };
}

function machine(): string {
  const all = cpus();
  const hypervisor = /^flags\s*:.*\bhypervisor\b/m.test(readFileSync("/proc/cpuinfo", "utf8"));
  const memory = `${Math.round(totalmem() / 1e9)} GB of memory`;
  const kind = hypervisor ? "a virtual machine" : "no virtual machine";
  return `${all.length} × ${all[0]?.model ?? "CPU"}, ${memory}, ${kind}, Linux ${release()}`;
}

function toDocument({ portolan, date, machine, otherPrograms, seconds, reports }: Run): string {
  const others = otherPrograms.length === 0 ? "none" : otherPrograms.join(", ");
  const head = `\
# Performance

What Portolan costs, measured by \`npm run bench\`, which wrote this page (\`PORTOLAN_WRITE_DOCS=1\`). Absolute figures are this
machine's; what carries over are relations, each within one run. In brackets is the 95 % confidence interval of the
median, or the range of fewer than six samples; a target is "undecided" where the limit lies in there.

- Portolan ${portolan}, ${date}
- ${machine}
- BPF programs of others during the run: ${others}
- ${seconds} s in all
`;
  return [head, ...reports.map(toMarkdown)].join("\n");
}

const args = process.argv.slice(2);
const asJson = args.includes("--json");
const wanted = args.filter((arg) => arg !== "--json");
const unknown = wanted.filter((name) => !NAMES.includes(name));
const writesDocument = process.env.PORTOLAN_WRITE_DOCS === "1";
if (unknown.length > 0)
  refuse(2, `no benchmark is called ${unknown.join(", ")}: ${NAMES.join(", ")}`);
if (writesDocument && wanted.length > 0) refuse(2, "PORTOLAN_WRITE_DOCS=1 asks for all benchmarks");
if (process.getuid?.() !== 0) refuse(1, "needs root, to trace and to make network namespaces");
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const result = await run(wanted.length === 0 ? NAMES : wanted);
console.log(asJson ? JSON.stringify(result, null, 2) : toDocument(result));
if (writesDocument) writeFileSync(DOCUMENT, toDocument(result));
