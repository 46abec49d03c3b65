/** TCP: which process a connection belongs to, when it is not simply the one that opened it. */
import { expect } from "bun:test";
import { expectation } from "./expectation.ts";
import { exactness, tcpPair } from "./suite.ts";

const CLIENT = "connect send:1000 recv:100 shutdown drain wait close";
const WORK = "recv:1000 send:100 drain shutdown wait close";
const CONNECTIONS = 40;

exactness("TCP owners", ({ row }) => {
  row("fork after accept", (stage) =>
    tcpPair(stage, { server: `listen accept fork ${WORK}`, client: CLIENT }),
  );

  row("accepted by a thread", (stage) =>
    tcpPair(stage, { server: `listen thread accept ${WORK}`, client: CLIENT }),
  );

  row("accepted by a child", (stage) =>
    tcpPair(stage, { server: `listen fork accept ${WORK}`, client: CLIENT }),
  );

  row("accepted by a child that only closes", (stage) =>
    tcpPair(stage, { server: "listen fork accept close", client: "connect drain close" }),
  );

  row("passed on over a unix socket", (stage) =>
    tcpPair(stage, { server: `listen accept pass ${WORK}`, client: CLIENT }),
  );

  row("connected, then passed on over a unix socket", (stage) =>
    tcpPair(stage, {
      server: `listen accept ${WORK}`,
      client: "connect pass send:1000 recv:100 shutdown drain wait close",
    }),
  );

  row("two processes with SO_REUSEPORT", async (stage) => {
    const { a, b } = stage.network;
    const serve = `reuseport listen accept ${WORK}`;
    const first = await stage.start(b, "tcp", serve, { bind: "0.0.0.0:0", count: 0 });
    const { port } = await first.until("listening");
    const second = await stage.start(b, "tcp", serve, { bind: `0.0.0.0:${port}`, count: 0 });
    await second.until("listening");
    const client = await stage.start(a, "tcp", CLIENT, {
      connect: `10.77.0.2:${port}`,
      count: CONNECTIONS,
    });
    const atClient = await client.sockets();
    first.stop();
    second.stop();
    const [atFirst, atSecond] = [await first.sockets(), await second.sockets()];
    expect(atFirst.length).toBeGreaterThan(0);
    expect(atSecond.length).toBeGreaterThan(0);
    expect(atFirst.length + atSecond.length).toBe(CONNECTIONS);
    return [...atClient, ...atFirst, ...atSecond].map((report) => expectation(report));
  });
});
