/** docs/exactness.md: the table of what is exact, written by the tests that prove it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";

const DOCUMENT = join(import.meta.dir, "../../docs/exactness.md");

const INTRODUCTION = `# What is exact

Each row is traffic that the tests in test/integration make, with programs that count what their own
calls return. "Exact" means that every connection of that traffic was told once when it closed and not
again, with these values equal to the programs' own: bytes both ways, packets both ways, retransmits,
pid and process, network namespace, addresses, direction, failure code. Bytes are payload. Packets are
TCP segments as the socket counts them (TCP_INFO, \`ss -ti\`) or UDP datagrams: what is sent or received
in a connection's name when it has no socket (SYN-ACK, TIME_WAIT) is in neither. A program that closes
without waiting for the end can't see its last packets (FIN, RST, their ACKs): there up to four more
packets and one more retransmission are allowed, and all else is held to equality.

The table is generated: \`PORTOLAN_WRITE_DOCS=1 npm test -- integration\`.
`;

const HEADER = `| kernel | attach family | traffic | row | result |
|---|---|---|---|---|
`;

/** One row of the table. */
export interface Exactness {
  row: string;
  /** "exact", or what differs and why. */
  result: string;
}

function kernel(): string {
  return release().match(/^\d+\.\d+/)?.[0] ?? release();
}

function linesOfDocument(): string[] {
  if (!existsSync(DOCUMENT)) return [];
  const table = readFileSync(DOCUMENT, "utf8").split("\n");
  return table.filter((line) => line.startsWith("| ") && !line.startsWith("| kernel"));
}

/**
 * Writes a group's rows when PORTOLAN_WRITE_DOCS=1: the group's lines of this kernel and family are
 * replaced, all others are kept, so that the kernels of a matrix can each add their own.
 */
export function writeExactness(family: string, group: string, rows: Exactness[]): void {
  if (process.env.PORTOLAN_WRITE_DOCS !== "1") return;
  const prefix = `| ${kernel()} | ${family} | ${group} |`;
  const kept = linesOfDocument().filter((line) => !line.startsWith(prefix));
  const written = rows.map(({ row, result }) => `${prefix} ${row} | ${result} |`);
  const lines = [...kept, ...written].sort();
  writeFileSync(DOCUMENT, `${INTRODUCTION}\n${HEADER}${lines.join("\n")}\n`);
}

/** The rows of a group that the document does not have with this result, on whichever kernel. */
export function undocumented(group: string, rows: Exactness[]): Exactness[] {
  const lines = linesOfDocument();
  return rows.filter(({ row, result }) => {
    return !lines.some((line) => line.endsWith(`| ${group} | ${row} | ${result} |`));
  });
}
