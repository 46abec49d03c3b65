import { main } from "./cli/main.ts";
import { openStdout } from "./cli/output.ts";

process.exit(
  await main(process.argv.slice(2), process.env, openStdout(), (text) => {
    process.stderr.write(text);
  }),
);
