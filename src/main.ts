import { main } from "./cli/main.ts";
import { stdout } from "./cli/output.ts";

process.exit(
  await main(process.argv.slice(2), process.env, stdout, (text) => process.stderr.write(text)),
);
