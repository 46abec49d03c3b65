import { UsageError } from "../config/errors.ts";
import { codeOf } from "../http/unix_socket.ts";
import { PortolanError } from "../model/errors.ts";
import { VERSION } from "../version.ts";
import { check } from "./check.ts";
import type { Command } from "./command.ts";
import { connections } from "./connections.ts";
import { debugDump } from "./debug_dump.ts";
import { commandHelp, generalHelp, usageLine } from "./help.ts";
import type { Output } from "./output.ts";
import { run } from "./run.ts";

const COMMANDS: readonly Command[] = [run, debugDump, connections, check];
const HELP_FLAGS = ["--help", "-h"];

/**
 * Runs the command that the words ask for and reports its failure.
 *
 * @param words the command line after the program's name
 * @param complain takes what goes to stderr
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function main(
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
  out: Output,
  complain: (text: string) => void,
): Promise<number> {
  let command: Command | undefined;
  try {
    if (words[0] === "--version") {
      await out.write(`${VERSION}\n`);
      return 0;
    }
    if (HELP_FLAGS.includes(words[0] ?? "")) {
      await out.write(generalHelp(COMMANDS));
      return 0;
    }
    const [chosen, rest] = chooseCommand(words);
    command = chosen;
    if (rest.some((word) => HELP_FLAGS.includes(word))) {
      await out.write(commandHelp(command));
      return 0;
    }
    return await command.run(rest, environment, out);
  } catch (error) {
    // The reader of our output has enough: `portolan connections | head`.
    if (codeOf(error) === "EPIPE") return 0;
    complain(`portolan: ${describe(error)}\n`);
    if (!(error instanceof UsageError)) return 1;
    complain(`${usageLine(command)}\n`);
    return 2;
  }
}

/** The command, and the words that are left for it; without a command, what runs is `run`. */
function chooseCommand(words: readonly string[]): [Command, readonly string[]] {
  if (words.includes("--debug-dump")) {
    return [debugDump, words.filter((word) => word !== "--debug-dump")];
  }
  const [first, ...rest] = words;
  if (first === undefined || first.startsWith("-")) return [run, words];
  const command = COMMANDS.find((candidate) => candidate.name === first);
  if (command === undefined) {
    const names = COMMANDS.map((candidate) => candidate.name).join(", ");
    throw new UsageError("run", JSON.stringify(first), `no such command, expected one of ${names}`);
  }
  return [command, rest];
}

/** One sentence for what is foreseen, all that is known for what isn't. */
function describe(error: unknown): string {
  if (error instanceof PortolanError) {
    return error.detail === undefined ? error.message : `${error.message}\n${error.detail}`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
