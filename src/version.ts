import manifest from "../package.json" with { type: "json" };

/** The release, as `--version` and `/debug/status` tell it. */
export const VERSION: string = manifest.version;
