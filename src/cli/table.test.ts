import { expect, test } from "bun:test";
import { type Column, renderTable } from "./table.ts";

type Row = [string, string];
const COLUMNS: Column<Row>[] = [
  { title: "NAME", text: ([name]) => name, shrinkTo: 5 },
  { title: "SIZE", text: ([, size]) => size, align: "right" },
];

test("columns are as wide as their widest cell, and no line ends in blanks", () => {
  expect(
    renderTable(
      COLUMNS,
      [
        ["a", "1"],
        ["bcdefg", "12345"],
      ],
      80,
    ).split("\n"),
  ).toEqual(["NAME     SIZE", "a           1", "bcdefg  12345"]);
  expect(renderTable([...COLUMNS].reverse(), [["a", "1"]], 80)).toBe("SIZE  NAME\n   1  a");
});

test("a column that may shrink is cut in the middle to make the table fit", () => {
  const rows: Row[] = [["0123456789", "1"]];
  expect(renderTable(COLUMNS, rows, 16)).toContain("0123456789     1");
  expect(renderTable(COLUMNS, rows, 13)).toContain("012…789     1");
  // Below that it stays as it is: a line too long says more than one without its numbers.
  expect(renderTable(COLUMNS, rows, 1)).toContain("01…89     1");
});

test("a process's name can't send commands to the terminal", () => {
  expect(renderTable(COLUMNS, [["\x1b[2J\x07\n\u009b", "1"]], 80)).toContain("?[2J???");
});

test("wide characters count as two columns", () => {
  const [, wide, narrow] = renderTable(
    COLUMNS,
    [
      ["漢字", "1"],
      ["ab", "1"],
    ],
    80,
  ).split("\n");
  expect(Bun.stringWidth(wide ?? "")).toBe(Bun.stringWidth(narrow ?? ""));
});

test("without rows there is the head", () => {
  expect(renderTable(COLUMNS, [], 80)).toBe("NAME  SIZE");
});
