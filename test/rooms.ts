/**
 * The import rules of ARCHITECTURE.md: which room may import from which. A check of our own, because Biome's
 * `noRestrictedImports` compares the text of an import and cannot tell to which room `../foo.ts` leads.
 */
import { join, normalize } from "node:path";

const CAPABILITIES = "src/nat src/routes src/processes src/dns src/traceroute";
const SHELL = "src/config src/http src/tracer src/telemetry src/model src/assets.ts src/version.ts";

/** Each room, a directory or a single file, and the directories and files it may import besides itself. */
const ROOMS: Record<string, string> = {
  ffi: "",
  "src/model": "",
  "src/wasm": "src/model",
  "src/state": "src/model src/wasm",
  "src/sources": "ffi src/model",
  ...Object.fromEntries(CAPABILITIES.split(" ").map((room) => [room, "ffi src/model"])),
  "src/tracer": `ffi src/model src/wasm src/state src/sources ${CAPABILITIES} src/assets.ts src/version.ts`,
  "src/telemetry": "src/model",
  "src/config": "src/model",
  "src/http": "src/tracer/client.ts src/tracer/protocol.ts src/model src/telemetry src/version.ts",
  "src/cli": SHELL,
  "src/main.ts": `src/cli ${SHELL}`,
  "src/assets.ts": "src/model",
  "src/version.ts": "package.json",
};

/** Numbers without behaviour, generated from C: open to every room. */
const LAYOUT = "ffi/layout.gen.ts";

/** Rooms that only compute: no module of the runtime, so no I/O. */
const PURE = ["src/model", "src/state", "src/wasm"];

/** `import`, `export ... from`, `import(...)`, and the URL of a worker. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"|new URL\(\s*"([^"]+)",\s*import\.meta\.url/g;

/** What the file at `path` (relative to the repository) with the text `source` imports against the rules. */
export function violations(path: string, source: string): string[] {
  const found: string[] = [];
  const isTest = /(\.test|\/fixture)\.ts$/.test(path);
  const room = Object.keys(ROOMS).find((name) => within(path.replace(".test.ts", ".ts"), name));
  if (room === undefined) return [`${path}: in no room of test/rooms.ts`];
  for (const [, imported, url] of source.matchAll(IMPORT)) {
    const target = imported ?? url ?? "";
    if (target === "bun:ffi" && room !== "ffi") {
      found.push(`${path}: only ffi/ may import bun:ffi`);
    } else if (/^(node|bun):|^bun$/.test(target) && PURE.includes(room) && !isTest) {
      found.push(`${path}: ${room} does no I/O, so it may not import ${target}`);
    } else if (target.startsWith(".")) {
      const file = normalize(join(path, "..", target));
      const open = `${room} ${LAYOUT} ${ROOMS[room]} ${isTest ? "src/assets.ts" : ""}`.split(" ");
      if (!open.some((place) => within(file, place))) {
        found.push(`${path}: ${room} may not import ${file}`);
      }
    }
  }
  return found;
}

function within(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`);
}

if (import.meta.main) {
  const root = join(import.meta.dir, "..");
  const paths = [...new Bun.Glob("{src,ffi}/**/*.ts").scanSync(root)].sort();
  const texts = await Promise.all(paths.map((path) => Bun.file(join(root, path)).text()));
  const found = paths.flatMap((path, index) => violations(path, texts[index] ?? ""));
  for (const line of found) console.error(line);
  process.exit(found.length === 0 ? 0 : 1);
}
