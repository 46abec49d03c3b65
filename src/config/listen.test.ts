import { expect, test } from "bun:test";
import { parseListenAddress } from "./listen.ts";

test.each([
  ["unix:/run/portolan/portolan.sock", { unix: "/run/portolan/portolan.sock" }],
  ["127.0.0.1:7373", { hostname: "127.0.0.1", port: 7373 }],
  ["0.0.0.0:0", { hostname: "0.0.0.0", port: 0 }],
  ["[::1]:65535", { hostname: "::1", port: 65535 }],
  ["[::ffff:10.0.0.1]:80", { hostname: "::ffff:10.0.0.1", port: 80 }],
])("%s is an address", (text, address) => {
  expect(parseListenAddress(text)).toEqual(address);
});

test.each([
  "",
  "unix:",
  "unix:relative.sock",
  "unix:/run/portolan/",
  "unix:/a\0b",
  `unix:/${"x".repeat(107)}`,
  "localhost:80",
  "127.0.0.1",
  "127.0.0.1:",
  "127.0.0.1:65536",
  "127.0.0.1:-1",
  "127.0.0.1:80 ",
  "256.0.0.1:80",
  "1.2.3:80",
  "::1:80",
  "[::1]",
  "[127.0.0.1]:80",
  "[::g]:80",
  "[fe80::1%lo]:80",
  ":80",
  "80",
])("%j is none", (text) => {
  expect(parseListenAddress(text)).toBeUndefined();
});

test("the longest path that a socket can have is accepted", () => {
  const path = `/${"x".repeat(106)}`;
  expect(parseListenAddress(`unix:${path}`)).toEqual({ unix: path });
});
