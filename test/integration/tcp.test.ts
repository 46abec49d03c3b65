/** TCP: the ways in which bytes get into and out of a connection that ends in good order. */
import { existsSync, readFileSync } from "node:fs";
import { exactness, type Pair, tcpPair } from "./suite.ts";

const MB = 1_000_000;

/** Both ends stay until the kernel is done with the connection, so that every packet is known. */
const PAIRS: Record<string, Pair> = {
  "plain, IPv4": {
    server: "listen accept drain send:1000 shutdown wait close",
    client: "connect send:5000 shutdown drain wait close",
  },
  "plain, IPv6": {
    server: "listen accept drain send:1000 shutdown wait close",
    client: "connect send:5000 shutdown drain wait close",
    over: "v6",
  },
  "plain, IPv4-mapped both ends": {
    server: "listen accept drain send:1000 shutdown wait close",
    client: "connect send:5000 shutdown drain wait close",
    over: "mapped",
  },
  "loopback, both ends, IPv4": {
    server: "listen accept drain send:1000 shutdown wait close",
    client: "connect send:5000 shutdown drain wait close",
    over: "loopback",
  },
  "loopback, both ends, IPv6": {
    server: "listen accept drain send:1000 shutdown wait close",
    client: "connect send:5000 shutdown drain wait close",
    over: "loopback6",
  },
  "no bytes at all": {
    server: "listen accept drain close",
    client: "connect close",
  },
  "closed at once by both": {
    server: "listen accept recv:5000 send:1000 close",
    client: "connect send:5000 recv:1000 close",
  },
  "non-blocking connect": {
    server: "listen accept drain send:1000 shutdown wait close",
    client: "connect:nonblock send:5000 shutdown drain wait close",
  },
  "50 MB up": {
    server: "listen accept drain shutdown wait close",
    client: `connect send:${50 * MB} shutdown drain wait close`,
  },
  "50 MB down": {
    server: `listen accept send:${50 * MB} shutdown drain wait close`,
    client: "connect drain shutdown wait close",
  },
  "half-close by the client": {
    server: `listen accept drain send:${MB} shutdown wait close`,
    client: "connect send:10 shutdown drain wait close",
  },
  "half-close by the server": {
    server: "listen accept send:10 shutdown drain wait close",
    client: `connect drain send:${MB} shutdown wait close`,
  },
  "1-byte sends": {
    server: "listen accept drain shutdown wait close",
    client: "connect send:500:1 shutdown drain wait close",
  },
  sendfile: {
    server: "listen accept drain shutdown wait close",
    client: `connect sendfile:${3 * MB} shutdown drain wait close`,
  },
  "splice, both ends": {
    server: "listen accept splice-recv shutdown wait close",
    client: `connect splice-send:${MB} shutdown drain wait close`,
  },
  MSG_PEEK: {
    server: "listen accept peek:700 peek:700 drain send:10 shutdown wait close",
    client: "connect send:1000 shutdown peek:10 drain wait close",
  },
  "writev and readv": {
    server: "listen accept readv:900 drain writev:700 shutdown wait close",
    client: "connect writev:900 shutdown readv:700 drain wait close",
  },
  MSG_OOB: {
    server: "listen accept recv:20 recv-oob drain shutdown wait close",
    client: "connect send:20 oob send:30 shutdown drain wait close",
  },
  "10,000 short ones": {
    server: "listen accept recv:100 send:1000 drain close",
    client: "connect send:100 recv:1000 close",
    count: 10_000,
  },
};

exactness("TCP", ({ row }) => {
  for (const [name, pair] of Object.entries(PAIRS)) row(name, (stage) => tcpPair(stage, pair));

  row(
    "io_uring",
    (stage) =>
      tcpPair(stage, {
        server: "uring listen accept recv:200000 send:3000 shutdown drain wait close",
        client: "uring connect send:200000 recv:3000 shutdown drain wait close",
      }),
    { skip: whyNoUring() },
  );

  row("TCP Fast Open", async (stage) => {
    // Client and server, data in a SYN without a cookie too: Documentation/networking/ip-sysctl.
    const everything = String(0x1 | 0x2 | 0x4 | 0x200);
    await stage.network.a.sysctl("ipv4/tcp_fastopen", everything);
    await stage.network.b.sysctl("ipv4/tcp_fastopen", everything);
    return tcpPair(stage, {
      server: "fastopen listen accept drain send:1000 shutdown wait close",
      client: "tfo:800 send:200 shutdown drain wait close",
    });
  });
});

function whyNoUring(): string | undefined {
  const path = "/proc/sys/kernel/io_uring_disabled"; // since Linux 6.6
  if (!existsSync(path) || readFileSync(path, "utf8").trim() === "0") return undefined;
  return "kernel.io_uring_disabled forbids io_uring";
}
