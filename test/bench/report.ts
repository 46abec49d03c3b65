/** What a benchmark says, for people as Markdown tables, for machines as it is. */
import type { Figure } from "./statistics.ts";

/** How the numbers of a column are written; in JSON they are in these units too. */
export type Unit = "ns" | "us" | "ms" | "MB" | "%" | "times" | "";

export interface Column {
  name: string;
  unit: Unit;
}

export interface Table {
  title: string;
  /** What its rows are. */
  rowName: string;
  columns: Column[];
  /** A cell is null where the column doesn't apply. */
  rows: { name: string; cells: (Figure | number | null)[] }[];
}

/** A figure that was promised. */
export interface Target {
  what: string;
  unit: Unit;
  atMost?: number;
  atLeast?: number;
  measured: Figure;
  /** "undecided" where the limit lies within the confidence interval. */
  verdict: "met" | "missed" | "undecided";
}

/** All of one benchmark. */
export interface Report {
  name: string;
  /** What was measured and how, in a few sentences. */
  method: string;
  tables: Table[];
  targets: Target[];
}

export function atMost(limit: number, unit: Unit, what: string, measured: Figure): Target {
  const verdict = measured.high <= limit ? "met" : measured.low > limit ? "missed" : "undecided";
  return { what, unit, atMost: limit, measured, verdict };
}

export function atLeast(limit: number, unit: Unit, what: string, measured: Figure): Target {
  const verdict = measured.low >= limit ? "met" : measured.high < limit ? "missed" : "undecided";
  return { what, unit, atLeast: limit, measured, verdict };
}

/** The report as a chapter of a Markdown document. */
export function toMarkdown({ name, method, tables, targets }: Report): string {
  const parts = [`## ${name}`, method];
  for (const table of tables) parts.push(`### ${table.title}`, renderTable(table));
  if (targets.length > 0) parts.push("### Targets", renderTargets(targets));
  return `${parts.join("\n\n")}\n`;
}

function renderTable({ rowName, columns, rows }: Table): string {
  const header = [
    rowName,
    ...columns.map(({ name, unit }) =>
      unit === "" || unit === "times" ? name : `${name}, ${unit}`,
    ),
  ];
  const lines = rows.map(({ name, cells }) => [
    name,
    ...cells.map((cell, index) => formatCell(cell, columns[index]?.unit ?? "")),
  ]);
  return grid([header, ...lines]);
}

function renderTargets(targets: readonly Target[]): string {
  const lines = targets.map(({ what, unit, atMost, atLeast, measured, verdict }) => {
    const limit = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
    return [
      what,
      `${limit}${suffix(unit)}`,
      `${formatCell(measured, unit)}${suffix(unit)}`,
      verdict,
    ];
  });
  return grid([["what", "limit", "measured", ""], ...lines]);
}

/** Rows of a Markdown table with aligned columns: the first to the left, numbers to the right. */
function grid(rows: readonly string[][]): string {
  const [header = []] = rows;
  const widths = header.map((_, column) =>
    Math.max(3, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) =>
    i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(header), line(rule), ...rows.slice(1).map(line)].join("\n");
}

function suffix(unit: Unit): string {
  if (unit === "times") return "×";
  return unit === "" ? "" : ` ${unit}`;
}

function formatCell(cell: Figure | number | null, unit: Unit): string {
  if (cell === null) return "";
  const digits = (value: number) => formatNumber(value, unit);
  if (typeof cell === "number") return digits(cell);
  return `${digits(cell.median)} (${digits(cell.low)} to ${digits(cell.high)})`;
}

/** Three significant digits, but for percentages a tenth: the noise is no finer. */
function formatNumber(value: number, unit: Unit): string {
  const size = Math.abs(value);
  const decimals = unit === "%" ? 1 : size < 10 ? 2 : size < 100 ? 1 : 0;
  const text = value.toFixed(unit === "" && Number.isInteger(value) ? 0 : decimals);
  return Number(text) === 0 ? text.replace("-", "") : text;
}
