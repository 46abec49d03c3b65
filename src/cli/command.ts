import { z } from "zod";
import { readFlags } from "../config/flags.ts";
import { type Key, keysOf } from "../config/key.ts";
import { loadConfig } from "../config/load.ts";
import { resolve, type Source } from "../config/resolve.ts";
import { type Config, configSchema } from "../config/schema.ts";
import type { Output } from "./output.ts";

/** One command, ready to be run and to be described by the help. */
export interface Command {
  name: string;
  summary: string;
  /** Its own flags. */
  options: readonly Key[];
  /** The keys of the configuration that it takes as flags. */
  configuration: readonly Key[];
  /**
   * @param words the command line after the command's name
   * @returns the exit code
   */
  run(words: readonly string[], environment: NodeJS.ProcessEnv, out: Output): Promise<number>;
}

const CONFIG_FLAG = z.strictObject({
  config: z.string().min(1).optional().meta({
    description: "file with the configuration, in YAML",
    placeholder: "FILE",
    expected: "the path of a file",
  }),
});

/** Makes a command of its options' schema and of what it does with them. */
export function defineCommand<O extends z.ZodObject>(definition: {
  name: string;
  summary: string;
  options: O;
  /** Keys of the configuration that matter to it; left out: all. */
  configuration?: readonly (keyof Config)[];
  run(options: z.output<O>, config: Config, out: Output): Promise<number>;
}): Command {
  const own = keysOf(definition.options);
  const wanted: readonly string[] = definition.configuration ?? Object.keys(configSchema.shape);
  const config = keysOf(configSchema).filter((key) => wanted.includes(key.name));
  const configFlag = keysOf(CONFIG_FLAG);
  return {
    name: definition.name,
    summary: definition.summary,
    options: own,
    configuration: [...configFlag, ...config],
    run: (words, environment, out) => {
      const flags = readFlags(words, [...own, ...configFlag, ...config]);
      const options = resolve(definition.options, [only(flags, own)]);
      const { config: file } = resolve(CONFIG_FLAG, [only(flags, configFlag)]);
      return definition.run(options, loadConfig(only(flags, config), environment, file), out);
    },
  };
}

function only(source: Source, keys: readonly Key[]): Source {
  const values = [...source.values].filter(([name]) => keys.some((key) => key.name === name));
  return { ...source, values: new Map(values) };
}
