/** What a tracer tells only when it is asked to by a flag. */
import { expect } from "bun:test";
import { expectation, isSettled } from "./expectation.ts";
import { exactness } from "./suite.ts";

const UDP_TIMEOUT_SECONDS = 2;

exactness(
  "with flags",
  ({ row, ledger }) => {
    row("TCP network unreachable (--connect-errors)", async (stage) => {
      const client = await stage.start(stage.network.a, "tcp", "connect close", {
        connect: "192.0.2.1:4000",
      });
      const [report] = await client.sockets();
      if (report === undefined) throw new Error("the client reported no socket");
      expect(report.errno).toBe(101);
      return [expectation(report, { packetsSent: 0, packetsReceived: 0 })];
    });

    row("TCP network unreachable, IPv6 (--connect-errors)", async (stage) => {
      const client = await stage.start(stage.network.a, "tcp", "connect close", {
        connect: "[2001:db8::1]:4000",
      });
      const [report] = await client.sockets();
      if (report === undefined) throw new Error("the client reported no socket");
      expect(report.errno).toBe(101);
      return [expectation(report, { packetsSent: 0, packetsReceived: 0 })];
    });

    row("UDP idle beyond its timeout (--udp-timeout)", async (stage) => {
      const { a, b } = stage.network;
      const receiver = await stage.start(b, "udp", "bind ready echo:3 report gate close", {
        bind: "0.0.0.0:0",
      });
      const { port } = await receiver.until("listening");
      const sender = await stage.start(a, "udp", "open sendto:100:3 recv:3 report gate close", {
        connect: `10.77.0.2:${port}`,
      });
      await Promise.all([receiver.until("waiting"), sender.until("waiting")]);
      const reports = [...sender.socketsSoFar(), ...receiver.socketsSoFar()];
      const wanted = reports.map((report) => expectation(report, { timesClosed: 1 }));
      // The sockets stay open: it is the timeout that ends what is told of them.
      await ledger().collect(
        () => wanted.every((one) => isSettled(ledger(), one)),
        UDP_TIMEOUT_SECONDS * 3000,
      );
      return wanted;
    });
  },
  { flags: ["--connect-errors", "--udp-timeout", String(UDP_TIMEOUT_SECONDS)] },
);
