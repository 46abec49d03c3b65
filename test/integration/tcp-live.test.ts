/** TCP: connections that are open, as ss sees them; packets on the wire; loss. */
import { expect } from "bun:test";
import { accountOf, expectation, isSettled } from "./expectation.ts";
import type { Namespace } from "./namespaces.ts";
import { exactness, tcpPair } from "./suite.ts";

/** What `ss -tinp` prints of one connection; bytes are payload, as the tracer has it. */
interface SsConnection {
  pid: number;
  sent: number;
  received: number;
  packetsSent: number;
  packetsReceived: number;
  /** Microseconds. */
  rtt: number;
  rttVar: number;
}

async function ss(namespace: Namespace, localPort: number): Promise<SsConnection> {
  const line = await namespace.run("ss", "-tinpHO", "state", "established", `sport = ${localPort}`);
  const number = (name: string): number => Number(line.match(new RegExp(`${name}:([\\d.]+)`))?.[1]);
  const rtt = line.match(/ rtt:([\d.]+)\/([\d.]+)/);
  return {
    pid: Number(line.match(/pid=(\d+)/)?.[1]),
    sent: number("bytes_sent") - (line.includes("bytes_retrans") ? number("bytes_retrans") : 0),
    received: number("bytes_received"),
    packetsSent: number("segs_out"),
    packetsReceived: number("segs_in"),
    rtt: Math.round(Number(rtt?.[1]) * 1000),
    rttVar: Math.round(Number(rtt?.[2]) * 1000),
  };
}

exactness("TCP live", ({ row, ledger }) => {
  row("open, equal to ss -tinp", async (stage) => {
    const { a, b } = stage.network;
    const server = await stage.start(
      b,
      "tcp",
      "listen accept recv:5000 send:1000 report gate drain shutdown wait close",
      { bind: "0.0.0.0:0" },
    );
    const { port } = await server.until("listening");
    const client = await stage.start(
      a,
      "tcp",
      "connect send:5000 recv:1000 report gate send:10 shutdown drain wait close",
      { connect: `10.77.0.2:${port}` },
    );
    await Promise.all([client.until("waiting"), server.until("waiting")]);
    await Bun.sleep(100); // for the last delayed ACK, so that both look at the same counters

    const open = [...client.socketsSoFar(), ...server.socketsSoFar()];
    await ledger().collect(() => open.every((one) => isSettled(ledger(), expectation(one))), 5000);
    for (const report of open) {
      const row = accountOf(ledger(), expectation(report))?.row;
      const seen = await ss(report.direction === "outgoing" ? a : b, report.lport);
      expect({
        pid: row?.pid,
        sent: row?.monotonicBytesSent,
        received: row?.monotonicBytesReceived,
        packetsSent: row?.monotonicPacketsSent,
        packetsReceived: row?.monotonicPacketsReceived,
        rtt: row?.rtt,
        rttVar: row?.rttVar,
      }).toEqual(seen);
      expect({ sent: row?.monotonicBytesSent, received: row?.monotonicBytesReceived }).toEqual({
        sent: report.sent,
        received: report.received,
      });
      expect(row?.isClosed).toBe(false);
      expect(row?.lastTcpEstablished).toBe(1);
      expect(row?.lastTcpClosed).toBe(0);
    }

    client.go();
    server.go();
    const reports = [...(await client.sockets()), ...(await server.sockets())];
    return reports.map((report) => expectation(report));
  });

  row("packets, equal to the namespace's own count", async (stage) => {
    const { a, b } = stage.network;
    // One segment a packet: the namespace counts packets as they arrive, the socket counts segments.
    for (const namespace of [a, b]) {
      await namespace.run("ip", "link", "set", "veth", "gso_max_segs", "1");
    }
    const before = await b.counters("TcpInSegs", "TcpOutSegs", "TcpRetransSegs");
    const wanted = await tcpPair(stage, {
      server: "listen accept drain send:300000 shutdown wait close",
      client: "connect send:700000 shutdown drain wait close",
    });
    const after = await b.counters("TcpInSegs", "TcpOutSegs", "TcpRetransSegs");
    for (const namespace of [a, b]) {
      await namespace.run("ip", "link", "set", "veth", "gso_max_segs", "65535");
    }
    const grown = (name: keyof typeof after): number => after[name] - before[name];
    const packetsReceived = grown("TcpInSegs");
    const synAck = 1; // sent before the accepted socket exists
    const packetsSent = grown("TcpOutSegs") + grown("TcpRetransSegs") - synAck;
    return wanted.map((end) =>
      end.direction === "incoming" ? { ...end, packetsSent, packetsReceived } : end,
    );
  });

  row("packet loss both ways", async (stage) => {
    const { a, b } = stage.network;
    const everyTwentieth = "meta l4proto tcp numgen inc mod 20 == 7 drop";
    await Promise.all([a.dropIncoming(everyTwentieth), b.dropIncoming(everyTwentieth)]);
    const before = { a: await a.counters("TcpRetransSegs"), b: await b.counters("TcpRetransSegs") };
    const wanted = await tcpPair(stage, {
      server: "listen accept drain send:500000 shutdown wait close",
      client: "connect send:3000000 shutdown drain wait close",
    });
    await Promise.all([a.acceptIncoming(), b.acceptIncoming()]);
    const after = { a: await a.counters("TcpRetransSegs"), b: await b.counters("TcpRetransSegs") };
    return wanted.map((end) => {
      const side = end.direction === "outgoing" ? "a" : "b";
      const retransmits = after[side].TcpRetransSegs - before[side].TcpRetransSegs;
      if (side === "a") expect(retransmits).toBeGreaterThan(0);
      return { ...end, retransmits };
    });
  });
});
