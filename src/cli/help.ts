import type { Key } from "../config/key.ts";
import type { Command } from "./command.ts";

/** The line that goes with a wrong command line. */
export function usageLine(command: Command | undefined): string {
  const name = command?.name ?? "[COMMAND]";
  return `usage: portolan ${name} [FLAG…]   (portolan ${command ? `${name} ` : ""}--help says more)`;
}

/** The help of Portolan as a whole. */
export function generalHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    "Portolan traces every TCP and UDP connection of this host and answers over HTTP.",
    "",
    "usage: portolan [COMMAND] [FLAG…]",
    "",
    "commands (without one: run):",
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    "",
    "portolan COMMAND --help lists a command's flags; portolan --version prints the version.",
    "Exit codes: 0 done, 1 failed, 2 wrong usage.",
    "",
  ].join("\n");
}

/** The help of one command, generated from the schemas of its flags. */
export function commandHelp(command: Command): string {
  const lines = [`usage: portolan ${command.name} [FLAG…]`, "", `${command.summary}`];
  if (command.options.length > 0) {
    lines.push("", "flags:", ...command.options.flatMap((key) => describe(key, [])));
  }
  lines.push(
    "",
    "configuration (flags win over variables of the environment, these over the file of --config):",
  );
  for (const key of command.configuration) {
    // --config itself is neither in the file nor in the environment.
    lines.push(...describe(key, key.name === "config" ? [] : [key.environment, key.name]));
  }
  return `${lines.join("\n")}\n`;
}

function describe(key: Key, otherForms: string[]): string[] {
  const repeat = key.type === "list" ? "…" : "";
  const facts = [...otherForms];
  if (!["text", "true or false"].includes(key.expected)) facts.push(key.expected);
  if (key.default !== undefined) facts.push(`default ${key.default}`);
  // What is on by default can only be turned off.
  const flag = key.type === "boolean" && key.default === "true" ? `${key.flag}=false` : key.flag;
  const lines = [
    `  ${`${flag} ${key.placeholder}${repeat}`.trimEnd()}`,
    `      ${key.description}`,
  ];
  if (facts.length > 0) lines.push(`      ${facts.join("; ")}`);
  return lines;
}
