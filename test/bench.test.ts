import { describe, expect, test } from "bun:test";
import { atLeast, atMost, type Report, toMarkdown } from "./bench/report.ts";
import { figure } from "./bench/statistics.ts";

const known = (low: number, median: number, high: number) => ({ low, median, high, samples: 9 });

describe("figure", () => {
  test("of few samples tells their range", () => {
    expect(figure([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3, samples: 3 });
    expect(figure([4, 1, 2, 3]).median).toBe(2.5);
  });

  test("of many samples is not moved by a few wild ones", () => {
    const samples = Array.from({ length: 99 }, (_, index) => index);
    samples.push(1e9, 1e9);
    expect(figure(samples)).toEqual({ median: 50, low: 40, high: 61, samples: 101 });
  });
});

describe("a target", () => {
  test("is met or missed only where the whole interval is on one side", () => {
    expect(atMost(1, "%", "x", known(0, 0.5, 1)).verdict).toBe("met");
    expect(atMost(1, "%", "x", known(0, 0.5, 1.1)).verdict).toBe("undecided");
    expect(atMost(1, "%", "x", known(1.1, 2, 3)).verdict).toBe("missed");
    expect(atLeast(15, "times", "x", known(15, 20, 30)).verdict).toBe("met");
    expect(atLeast(15, "times", "x", known(14, 20, 30)).verdict).toBe("undecided");
    expect(atLeast(15, "times", "x", known(1, 2, 3)).verdict).toBe("missed");
  });
});

test("a report is Markdown with units in the head and intervals in the cells", () => {
  const report: Report = {
    name: "speed",
    method: "Measured.",
    tables: [
      {
        title: "All",
        rowName: "who",
        columns: [
          { name: "time", unit: "ms" },
          { name: "faster", unit: "times" },
        ],
        rows: [{ name: "we", cells: [known(1, 12.34, 123.4), null] }],
      },
    ],
    targets: [atMost(80, "MB", "memory", known(70, 75, 79))],
  };
  expect(toMarkdown(report)).toBe(`\
## speed

Measured.

### All

| who |           time, ms | faster |
| --- | -----------------: | -----: |
| we  | 12.3 (1.00 to 123) |        |

### Targets

| what   |         limit |               measured |     |
| ------ | ------------: | ---------------------: | --: |
| memory | at most 80 MB | 75.0 (70.0 to 79.0) MB | met |
`);
});
