/** TCP: connections that never were, and connections that end badly. */
import { expect } from "bun:test";
import { type Expectation, expectation } from "./expectation.ts";
import type { Namespace } from "./namespaces.ts";
import { exactness, type Stage, tcpPair } from "./suite.ts";

const CLOSED_PORT = 9;

/** Runs a client whose connect fails with this errno; its row has no bytes and this failure. */
async function failing(
  stage: Stage,
  namespace: Namespace,
  connect: string,
  errno: number,
  how = "connect close",
): Promise<Expectation> {
  const client = await stage.start(namespace, "tcp", how, { connect });
  const [report] = await client.sockets();
  if (report === undefined) throw new Error("the client reported no socket");
  expect(report.errno).toBe(errno);
  return expectation(report);
}

exactness("TCP failures", ({ row }) => {
  row("refused", async (stage) => {
    const { a } = stage.network;
    const refused = { packetsSent: 1, packetsReceived: 1 };
    return [
      { ...(await failing(stage, a, `10.77.0.2:${CLOSED_PORT}`, 111)), ...refused },
      { ...(await failing(stage, a, `[fd77::2]:${CLOSED_PORT}`, 111)), ...refused },
      { ...(await failing(stage, a, `127.0.0.1:${CLOSED_PORT}`, 111)), ...refused },
    ];
  });

  row("refused, non-blocking connect", async (stage) => [
    await failing(
      stage,
      stage.network.a,
      `10.77.0.2:${CLOSED_PORT}`,
      111,
      "connect:nonblock close",
    ),
  ]);

  row("timed out", async (stage) => {
    const { a, b } = stage.network;
    await a.sysctl("ipv4/tcp_syn_retries", "1");
    await b.dropIncoming("tcp dport 4000 drop");
    const before = await a.counters("TcpRetransSegs");
    const wanted = await failing(stage, a, "10.77.0.2:4000", 110);
    const after = await a.counters("TcpRetransSegs");
    const retransmits = after.TcpRetransSegs - before.TcpRetransSegs;
    await b.acceptIncoming();
    expect(retransmits).toBeGreaterThan(0);
    return [{ ...wanted, retransmits, packetsSent: 1 + retransmits, packetsReceived: 0 }];
  });

  row("unreachable, no such neighbour", async (stage) => {
    const { a } = stage.network;
    await a.sysctl("ipv4/neigh/veth/retrans_time_ms", "100");
    return [await failing(stage, a, "10.77.0.99:4000", 113)];
  });

  row("unreachable, by ICMP", async (stage) => {
    const { a, b } = stage.network;
    await b.dropIncoming("tcp dport 4001 reject with icmp type host-unreachable");
    const wanted = await failing(stage, a, "10.77.0.2:4001", 113);
    await b.acceptIncoming();
    return [wanted];
  });

  row("reset by the client (linger 0)", (stage) =>
    tcpPair(stage, {
      server: "listen accept recv:1000 send:1 drain close",
      client: "connect send:1000 recv:1 linger0 close",
    }),
  );

  row("reset by the server (linger 0)", (stage) =>
    tcpPair(stage, {
      server: "listen accept recv:1000 linger0 close",
      client: "connect send:1000 drain close",
    }),
  );

  row(
    "reset for unread data",
    async (stage) => {
      const ends = await tcpPair(stage, {
        server: "listen accept recv:100 close",
        client: "connect send:1000 drain close",
      });
      return ends.map((end) => (end.direction === "incoming" ? { ...end, received: 1000 } : end));
    },
    { differs: "exact, but bytes that reached the socket count as received, read or not" },
  );

  row("client killed by SIGKILL", async (stage) => {
    const ends = await tcpPair(stage, {
      server: "listen accept recv:1000 send:1 drain close",
      client: "connect send:1000 recv:1 report kill",
    });
    return ends.map((end) => ({
      ...end,
      closed: 1,
      timesClosed: 1,
      packetsSent: { atLeast: 3, atMost: 8 },
      packetsReceived: { atLeast: 2, atMost: 8 },
    }));
  });

  row("server killed by SIGKILL", async (stage) => {
    const ends = await tcpPair(stage, {
      server: "listen accept recv:1000 send:1 report kill",
      client: "connect send:1000 drain close",
    });
    return ends.map((end) => ({
      ...end,
      closed: 1,
      timesClosed: 1,
      packetsSent: { atLeast: 2, atMost: 8 },
      packetsReceived: { atLeast: 3, atMost: 8 },
    }));
  });
});
