/** Network namespaces of the tests' own, so that no test's traffic meets another's or the machine's. */

import { existsSync, readdirSync } from "node:fs";

const PREFIX = "ptest-";
const DIRECTORY = "/run/netns";

/** Removes what test processes left behind that were killed. */
async function removeOrphans(): Promise<void> {
  for (const name of existsSync(DIRECTORY) ? readdirSync(DIRECTORY) : []) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : 0;
    if (pid > 0 && !existsSync(`/proc/${pid}`)) await command("ip", "netns", "delete", name);
  }
}

/** Runs a command to its end; throws with its stderr when it fails. */
export async function command(...argv: string[]): Promise<string> {
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    Bun.readableStreamToText(child.stdout),
    Bun.readableStreamToText(child.stderr),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${argv.join(" ")}: exit ${code}: ${stderr.trim()}`);
  return stdout;
}

/** One named network namespace with its loopback up. */
export class Namespace {
  private constructor(readonly name: string) {}

  /** Makes a namespace whose name ends in `suffix`; `remove` it. */
  static async create(suffix: string): Promise<Namespace> {
    const name = `${PREFIX}${process.pid}-${suffix}`;
    await removeOrphans();
    await command("ip", "netns", "add", name);
    const namespace = new Namespace(name);
    await namespace.run("ip", "link", "set", "lo", "up");
    return namespace;
  }

  get path(): string {
    return `${DIRECTORY}/${this.name}`;
  }

  /** The inode number that identifies it, as in a row's `netNS`. */
  async inode(): Promise<number> {
    return Number(await this.run("stat", "-Lc", "%i", "/proc/self/ns/net"));
  }

  run(...argv: string[]): Promise<string> {
    return command("nsenter", `--net=${this.path}`, ...argv);
  }

  /** Sets a `net.` sysctl of this namespace, named by its path below /proc/sys/net. */
  async sysctl(path: string, value: string): Promise<void> {
    await this.run("sh", "-c", `echo ${value} > /proc/sys/net/${path}`);
  }

  /** Adds rules to a chain that sees what comes in; one statement of nftables each. */
  async dropIncoming(...rules: string[]): Promise<void> {
    const chain = "add chain inet test input { type filter hook input priority 0; }";
    const added = rules.map((rule) => `add rule inet test input ${rule}`);
    await this.run("nft", ["add table inet test", chain, ...added].join("; "));
  }

  async acceptIncoming(): Promise<void> {
    await this.run("nft", "delete table inet test");
  }

  /** Counters of /proc/net/snmp and /proc/net/netstat, such as "TcpRetransSegs". */
  async counters<Name extends string>(...names: Name[]): Promise<Record<Name, number>> {
    const lines = await this.run("nstat", "-asz", ...names);
    const counters: Partial<Record<Name, number>> = {};
    for (const name of names) {
      counters[name] = Number(lines.match(new RegExp(`^${name}\\s+(\\d+)`, "m"))?.[1]);
    }
    return counters as Record<Name, number>;
  }

  async remove(): Promise<void> {
    await command("ip", "netns", "delete", this.name);
  }
}

/** Two namespaces, `a` and `b`, with a veth pair between them. */
export class Network {
  private static made = 0;

  private constructor(
    readonly a: Namespace,
    readonly b: Namespace,
  ) {}

  static async create(): Promise<Network> {
    const number = Network.made++;
    const network = new Network(
      await Namespace.create(`${number}-a`),
      await Namespace.create(`${number}-b`),
    );
    const { a, b } = network;
    await a.run("ip", "link", "add", "veth", "type", "veth", "peer", "veth", "netns", b.name);
    for (const [namespace, host] of [[a, 1] as const, [b, 2] as const]) {
      await namespace.run("ip", "address", "add", `10.77.0.${host}/24`, "dev", "veth");
      await namespace.run("ip", "address", "add", `fd77::${host}/64`, "dev", "veth", "nodad");
      await namespace.run("ip", "link", "set", "veth", "up");
      await namespace.run("ip", "route", "add", "224.0.0.0/4", "dev", "veth");
    }
    return network;
  }

  async remove(): Promise<void> {
    await Promise.all([this.a.remove(), this.b.remove()]);
  }
}
