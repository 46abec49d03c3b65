/** What became of one test. */
export interface TestCase {
  /** Path of its file, as given to `bun test`. */
  file: string;
  /** Its `describe` blocks and its name, as Bun prints them. */
  name: string;
  outcome: "passed" | "failed" | "skipped";
  /** Why it was skipped, where the report says so. */
  reason?: string;
}

/**
 * Reads a report that `bun test --reporter=junit` wrote. Throws an Error for text that is not a whole one, such as
 * what a killed process leaves. Counts come from the test cases: Bun's own totals leave out a failed `beforeAll`.
 */
export function parseJunit(xml: string): TestCase[] {
  if (!xml.trimEnd().endsWith("</testsuites>")) throw new Error("the report is not complete");
  const cases = xml.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs);
  return [...cases].map(([, head = "", body = ""]) => {
    const parents = attribute(head, "classname").split(" > ").reverse(); // innermost first in the report
    const test: TestCase = {
      file: attribute(head, "file"),
      name: [...parents, attribute(head, "name")].filter((part) => part !== "").join(" > "),
      outcome: "passed",
    };
    const skipped = /<skipped ?([^>]*)/.exec(body);
    if (/<(failure|error)\b/.test(body)) test.outcome = "failed";
    else if (skipped !== null) {
      test.outcome = "skipped";
      const reason = attribute(skipped[1] ?? "", "message");
      if (reason !== "") test.reason = reason;
    }
    return test;
  });
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** An attribute of a tag, "" when it is not there. */
function attribute(tag: string, name: string): string {
  const value = new RegExp(`(?:^| )${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
  return value.replace(/&(?:#(\d+)|(\w+));/g, (entity, code?: string, known?: string) =>
    code === undefined ? (ENTITIES[known ?? ""] ?? entity) : String.fromCodePoint(Number(code)),
  );
}
