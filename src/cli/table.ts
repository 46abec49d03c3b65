/** One column of a table. */
export interface Column<Row> {
  title: string;
  text(row: Row): string;
  align?: "right";
  /** May be cut in the middle, down to this many characters, where the table is too wide. */
  shrinkTo?: number;
}

const GAP = "  ";

/** Lines of a table no wider than `width`, as far as the columns can shrink; without a last newline. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): string {
  const lines = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => printable(column.text(row)))),
  ];
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => Bun.stringWidth(line[index] ?? ""))),
  );
  shrink(widths, columns, width - GAP.length * (columns.length - 1));
  return lines
    .map((line) =>
      line
        .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align))
        .join(GAP)
        .trimEnd(),
    )
    .join("\n");
}

/** Takes from the widest column that can still shrink, one character after the other. */
function shrink(widths: number[], columns: readonly Column<never>[], room: number): void {
  const least = (index: number) => columns[index]?.shrinkTo ?? Number.POSITIVE_INFINITY;
  for (let total = widths.reduce((a, b) => a + b, 0); total > room; total--) {
    let widest: number | undefined;
    for (const [index, width] of widths.entries()) {
      if (width > least(index) && width > (widths[widest ?? -1] ?? 0)) widest = index;
    }
    if (widest === undefined) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function pad(cell: string, width: number, align: "right" | undefined): string {
  const fitting = cutMiddle(cell, width);
  const blanks = " ".repeat(Math.max(0, width - Bun.stringWidth(fitting)));
  return align === "right" ? blanks + fitting : fitting + blanks;
}

/** Keeps both ends: of an address, the port and the network say more than the middle. */
function cutMiddle(cell: string, width: number): string {
  if (Bun.stringWidth(cell) <= width) return cell;
  const characters = [...cell];
  const tail = Math.ceil((width - 1) / 2);
  return `${characters.slice(0, width - 1 - tail).join("")}…${characters.slice(-tail).join("")}`;
}

/** Any process can choose its name: control characters must not reach the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?");
}
