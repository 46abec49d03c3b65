/** What was there before the tracer: open connections, listeners, bound sockets. */
import { expectation } from "./expectation.ts";
import { exactness, type Stage } from "./suite.ts";
import type { Traffic } from "./traffic.ts";

const BEFORE = "send:5000 recv:1000 report gate send:300 shutdown drain wait close";
const ANSWER = "recv:5000 send:1000 report gate drain send:70 shutdown wait close";

interface OpenPair {
  client: Traffic;
  server: Traffic;
}

const open = new Map<string, OpenPair>();
let listener: { server: Traffic; port: number };
let datagrams: OpenPair;

async function openPair(stage: Stage, bind: string, connect: string): Promise<OpenPair> {
  const { a, b } = stage.network;
  const server = await stage.start(b, "tcp", `listen accept ${ANSWER}`, { bind });
  const { port } = await server.until("listening");
  const client = await stage.start(a, "tcp", `connect ${BEFORE}`, {
    connect: `${connect}:${port}`,
  });
  await Promise.all([client.until("waiting"), server.until("waiting")]);
  return { client, server };
}

async function before(stage: Stage): Promise<void> {
  open.set("IPv4", await openPair(stage, "0.0.0.0:0", "10.77.0.2"));
  open.set("IPv6", await openPair(stage, "[::]:0", "[fd77::2]"));
  open.set("IPv4-mapped", await openPair(stage, "[::]:0", "[::ffff:10.77.0.2]"));

  const { a, b } = stage.network;
  const work = "listen accept recv:1000 send:100 drain shutdown wait close";
  const server = await stage.start(b, "tcp", work, { bind: "0.0.0.0:0" });
  listener = { server, port: (await server.until("listening")).port };

  const receiver = await stage.start(b, "udp", "bind ready gate echo:4 close", {
    bind: "0.0.0.0:0",
  });
  const { port } = await receiver.until("listening");
  const sender = await stage.start(a, "udp", "open connect gate send:100:4 recv:4 close", {
    connect: `10.77.0.2:${port}`,
  });
  await Promise.all([receiver.until("waiting"), sender.until("waiting")]);
  datagrams = { client: sender, server: receiver };
}

exactness(
  "before the start",
  ({ row }) => {
    for (const name of ["IPv4", "IPv6", "IPv4-mapped"]) {
      row(`TCP open on both ends, ${name}`, async () => {
        const pair = open.get(name);
        if (pair === undefined) throw new Error(`${name} was not opened`);
        pair.client.go();
        pair.server.go();
        const reports = [...(await pair.client.sockets()), ...(await pair.server.sockets())];
        // It was established when nobody was looking.
        return reports.map((report) => expectation(report, { established: 0 }));
      });
    }

    row("TCP accepted by a listener of before", async (stage) => {
      const client = await stage.start(
        stage.network.a,
        "tcp",
        "connect send:1000 recv:100 shutdown drain wait close",
        { connect: `10.77.0.2:${listener.port}` },
      );
      const reports = [...(await client.sockets()), ...(await listener.server.sockets())];
      return reports.map((report) => expectation(report));
    });

    row("UDP sockets of before, datagrams of after", async () => {
      datagrams.server.go();
      datagrams.client.go();
      const { client, server } = datagrams;
      const reports = [...(await client.sockets()), ...(await server.sockets())];
      return reports.map((report) => expectation(report));
    });
  },
  { before },
);
