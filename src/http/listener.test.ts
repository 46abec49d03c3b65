import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openListeners } from "./listener.ts";
import { refuseIfTaken } from "./unix_socket.ts";

const root = mkdtempSync(join(tmpdir(), "portolan-listener-"));
afterAll(() => rmSync(root, { recursive: true }));
let [directory, socket] = ["", ""];
let round = 0;
beforeEach(() => {
  directory = join(root, String(round++));
  socket = join(directory, "portolan.sock");
});

const hello = () => new Response("hello");
const ask = (path = "/") => fetch(`http://portolan${path}`, { unix: socket });
const ANY_PORT = { hostname: "127.0.0.1", port: 0 };

/** Leaves a socket that nobody listens on, as kill -9 does. */
async function leaveStaleSocket(): Promise<void> {
  mkdirSync(directory);
  const script = `Bun.listen({ unix: ${JSON.stringify(socket)}, socket: { data() {} } });
    process.kill(process.pid, "SIGKILL");`;
  await Bun.spawn([process.execPath, "-e", script]).exited;
  expect(lstatSync(socket).isSocket()).toBeTrue();
}

test("a socket has mode 0660 in a directory of its own, and both go at the end", async () => {
  const [listener] = await openListeners([{ unix: socket }], hello);
  expect(statSync(socket).mode & 0o777).toBe(0o660);
  expect(statSync(directory).mode & 0o777).toBe(0o750);
  expect(listener?.url).toBe(`unix:${socket}`);
  expect(await (await ask()).text()).toBe("hello");
  await listener?.stop();
  expect(existsSync(directory)).toBeFalse();
});

test("the file mode mask is as before", async () => {
  const before = process.umask();
  const [listener] = await openListeners([{ unix: socket }], hello);
  expect(process.umask()).toBe(before);
  await listener?.stop();
});

test("a directory that was there stays as it is", async () => {
  mkdirSync(directory, { mode: 0o700 });
  const [listener] = await openListeners([{ unix: socket }], hello);
  await listener?.stop();
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(existsSync(socket)).toBeFalse();
});

test("the same answers on TCP, IPv4 and IPv6", async () => {
  const listeners = await openListeners([ANY_PORT, { hostname: "::1", port: 0 }], hello);
  expect(listeners[0]?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(listeners[1]?.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
  for (const { url } of listeners) expect(await (await fetch(url)).text()).toBe("hello");
  await Promise.all(listeners.map((listener) => listener.stop()));
});

test("a socket that somebody listens on is refused and stays", async () => {
  const [listener] = await openListeners([{ unix: socket }], hello);
  const message = `listen on unix:${socket}: another Portolan is running on ${socket}`;
  await expect(refuseIfTaken(socket)).rejects.toThrow(message);
  await expect(openListeners([{ unix: socket }], hello)).rejects.toThrow(message);
  expect(await (await ask()).text()).toBe("hello");
  await listener?.stop();
});

test("a socket that a killed process left is replaced", async () => {
  await leaveStaleSocket();
  await refuseIfTaken(socket);
  const [listener] = await openListeners([{ unix: socket }], hello);
  expect(await (await ask()).text()).toBe("hello");
  await listener?.stop();
});

test("of several that start at once on a stale socket, one wins and the others say so", async () => {
  await leaveStaleSocket();
  const starts = await Promise.allSettled(
    Array.from({ length: 5 }, () => openListeners([{ unix: socket }], hello)),
  );
  const won = starts.filter((start) => start.status === "fulfilled");
  expect(won).toHaveLength(1);
  expect(await (await ask()).text()).toBe("hello");
  await won[0]?.value[0]?.stop();
});

test("what is no socket is never removed", async () => {
  mkdirSync(directory);
  writeFileSync(socket, "precious");
  await expect(openListeners([{ unix: socket }], hello)).rejects.toThrow("no socket");
  expect(await Bun.file(socket).text()).toBe("precious");

  rmSync(socket);
  symlinkSync("/dev/null", socket);
  await expect(openListeners([{ unix: socket }], hello)).rejects.toThrow("no socket");
  expect(lstatSync(socket).isSymbolicLink()).toBeTrue();
});

test("a path that can't be had is an error with the path", async () => {
  writeFileSync(directory, "a file where the directory should be");
  await expect(openListeners([{ unix: socket }], hello)).rejects.toThrow(
    `listen on unix:${socket}: `,
  );
});

test("a TCP address that is taken is named, and nothing is left open", async () => {
  const [first] = await openListeners([ANY_PORT], hello);
  const port = Number(new URL(first?.url ?? "").port);
  const second = openListeners([{ unix: socket }, { hostname: "127.0.0.1", port }], hello);
  await expect(second).rejects.toThrow(
    `listen on 127.0.0.1:${port}: the address is taken by another process`,
  );
  expect(existsSync(directory)).toBeFalse();
  await first?.stop();
});

test("an address that this host doesn't have is named", async () => {
  const opening = openListeners([{ hostname: "192.0.2.1", port: 80 }], hello);
  await expect(opening).rejects.toThrow("listen on 192.0.2.1:80: this host has no such address");
});

test("stop lets an answer under way come to its end", async () => {
  const slow = async () => {
    await Bun.sleep(100);
    return new Response("late");
  };
  const [listener] = await openListeners([{ unix: socket }], slow);
  const answer = ask();
  await Bun.sleep(30);
  await listener?.stop();
  expect(await (await answer).text()).toBe("late");
});

test("stop doesn't wait for an answer that never ends", async () => {
  const endless = () => new Response(new ReadableStream({ pull: () => Bun.sleep(60_000) }));
  const [listener] = await openListeners([{ unix: socket }], endless);
  const answer = ask().then((response) => response.text());
  answer.catch(() => {});
  await Bun.sleep(30);
  const before = performance.now();
  await listener?.stop();
  expect(performance.now() - before).toBeLessThan(3_000);
  await expect(answer).rejects.toThrow();
});
