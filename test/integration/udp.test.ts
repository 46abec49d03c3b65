/** UDP: every way to send and to receive, both ends. */
import { expect } from "bun:test";
import { type Expectation, expectation } from "./expectation.ts";
import { exactness, type Stage } from "./suite.ts";

const GROUP = "239.77.0.1";

/** A receiver that is bound, and a sender that talks to it. */
interface UdpPair {
  receiver: string;
  sender: string;
  over?: keyof typeof LINKS;
  count?: number;
}

const LINKS = {
  v4: { bind: "0.0.0.0:0", connect: "10.77.0.2", crossing: true },
  v6: { bind: "[::]:0", connect: "[fd77::2]", crossing: true },
  mapped: { bind: "[::]:0", connect: "[::ffff:10.77.0.2]", crossing: true },
  loopback: { bind: "127.0.0.1:0", connect: "127.0.0.1", crossing: false },
  loopback6: { bind: "[::1]:0", connect: "[::1]", crossing: false },
  multicast: { bind: "0.0.0.0:0", connect: GROUP, crossing: true },
};

async function udpPair(stage: Stage, pair: UdpPair): Promise<Expectation[]> {
  const link = LINKS[pair.over ?? "v4"];
  const { a, b } = stage.network;
  const receiver = await stage.start(b, "udp", pair.receiver, { bind: link.bind });
  const { port } = await receiver.until("listening");
  const sender = await stage.start(link.crossing ? a : b, "udp", pair.sender, {
    connect: `${link.connect}:${port}`,
    count: pair.count ?? 1,
  });
  const [atSender, atReceiver] = await Promise.all([sender.sockets(), receiver.sockets()]);
  return [...atSender, ...atReceiver].map((report) => expectation(report));
}

const PAIRS: Record<string, UdpPair> = {
  "unconnected both ends, IPv4": {
    receiver: "bind ready echo:5 close",
    sender: "open sendto:100:5 recv:5 close",
  },
  "unconnected both ends, IPv6": {
    receiver: "bind ready echo:5 close",
    sender: "open sendto:100:5 recv:5 close",
    over: "v6",
  },
  "unconnected both ends, IPv4-mapped": {
    receiver: "bind ready echo:5 close",
    sender: "open sendto:100:5 recv:5 close",
    over: "mapped",
  },
  "loopback, both ends, IPv4": {
    receiver: "bind ready echo:5 close",
    sender: "open sendto:100:5 recv:5 close",
    over: "loopback",
  },
  "loopback, both ends, IPv6": {
    receiver: "bind ready echo:5 close",
    sender: "open sendto:100:5 recv:5 close",
    over: "loopback6",
  },
  "connected sender": {
    receiver: "bind ready echo:5 close",
    sender: "open connect send:100:5 recv:5 close",
  },
  "sendmmsg and recvmmsg": {
    receiver: "bind ready recv-mmsg:20 close",
    sender: "open mmsg:20:300 close",
  },
  "zero length": {
    receiver: "bind ready echo:3 recv:1 close",
    sender: "open sendto:0:3 recv:3 sendto:10 close",
  },
  "60 kB, fragmented": {
    receiver: "bind ready echo:2 close",
    sender: "open sendto:60000 recv:1 sendto:60000 recv:1 close",
  },
  "60 kB, fragmented, IPv6": {
    receiver: "bind ready echo:2 close",
    sender: "open sendto:60000 recv:1 sendto:60000 recv:1 close",
    over: "v6",
  },
  "60 kB over loopback": {
    receiver: "bind ready echo:2 close",
    sender: "open sendto:60000 recv:1 sendto:60000 recv:1 close",
    over: "loopback",
  },
  GSO: {
    receiver: "bind ready recv:10 close",
    sender: "open gso:9500:1000 close",
  },
  "GSO and GRO": {
    receiver: "bind gro ready recv-bytes:9500 close",
    sender: "open gso:9500:1000 close",
  },
  "GSO and GRO, IPv6": {
    receiver: "bind gro ready recv-bytes:9500 close",
    sender: "open gso:9500:1000 close",
    over: "v6",
  },
  UDP_CORK: {
    receiver: "bind ready recv:1 close",
    sender: "open cork:100:200:300 close",
  },
  MSG_MORE: {
    receiver: "bind ready recv:1 close",
    sender: "open more:100:200:300 close",
  },
  MSG_PEEK: {
    receiver: "bind ready peek peek recv:2 close",
    sender: "open sendto:100:2 close",
  },
  "many peers on one socket": {
    receiver: "bind ready echo:100 close",
    sender: "open sendto:10 recv:1 leave",
    count: 100,
  },
};

exactness("UDP", ({ row }) => {
  for (const [name, pair] of Object.entries(PAIRS)) row(name, (stage) => udpPair(stage, pair));

  row(
    "multicast",
    async (stage) => {
      const ends = await udpPair(stage, {
        receiver: `bind join:${GROUP} ready recv:3 close`,
        sender: "open sendto:100:3 close",
        over: "multicast",
      });
      return ends.map((end) => (end.direction === "incoming" ? { ...end, laddr: GROUP } : end));
    },
    { differs: "exact, and the receiver's local address is the group's" },
  );

  row("connected both ends", async (stage) => {
    const { a, b } = stage.network;
    const ends = ["10.77.0.1:7001", "10.77.0.2:7002"] as const;
    const receiver = await stage.start(b, "udp", "bind connect ready recv:3 send:50:2 close", {
      bind: ends[1],
      connect: ends[0],
    });
    await receiver.until("listening");
    const sender = await stage.start(a, "udp", "bind connect send:200:3 recv:2 close", {
      bind: ends[0],
      connect: ends[1],
    });
    const reports = [...(await sender.sockets()), ...(await receiver.sockets())];
    return reports.map((report) => expectation(report));
  });

  row("dropped for lack of receive buffer", async (stage) => {
    const { a, b } = stage.network;
    const datagrams = 50;
    const receiver = await stage.start(b, "udp", "bind rcvbuf:4096 ready gate drain close", {
      bind: "0.0.0.0:0",
    });
    const { port } = await receiver.until("listening");
    await receiver.until("waiting");
    const sender = await stage.start(a, "udp", `open sendto:500:${datagrams} close`, {
      connect: `10.77.0.2:${port}`,
    });
    const [sent] = await sender.sockets();
    receiver.go();
    const [received] = await receiver.sockets();
    if (sent === undefined || received === undefined) throw new Error("no datagram was received");
    const packetsDropped = datagrams - received.packetsReceived;
    expect(packetsDropped).toBeGreaterThan(0);
    return [expectation(sent), expectation(received, { packetsDropped })];
  });

  row(
    "never read",
    async (stage) => {
      const { a, b } = stage.network;
      const receiver = await stage.start(b, "udp", "bind ready gate close", { bind: "0.0.0.0:0" });
      const { port, pid, netns } = await receiver.until("listening");
      const sender = await stage.start(a, "udp", "open sendto:100:3 close", {
        connect: `10.77.0.2:${port}`,
      });
      const [sent] = await sender.sockets();
      receiver.go();
      await receiver.sockets();
      if (sent === undefined) throw new Error("no datagram was sent");
      const delivered = expectation({
        ...sent,
        pid,
        netns,
        direction: "incoming",
        laddr: sent.raddr,
        lport: sent.rport,
        raddr: sent.laddr,
        rport: sent.lport,
        sent: 0,
        packetsSent: 0,
        received: sent.sent,
        packetsReceived: sent.packetsSent,
      });
      return [expectation(sent), delivered];
    },
    { differs: "exact, but datagrams that reached the socket count as received, read or not" },
  );
});
