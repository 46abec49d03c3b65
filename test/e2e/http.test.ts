/** The HTTP interface of a running tracer: formats, bad input, limits. */
import { expect, test } from "bun:test";
import { connect as dial, type Socket } from "node:net";
import { decode } from "@msgpack/msgpack";
import type { Connections } from "../../src/model/connection.ts";
import { type Exchange, ExchangeServer, freePort, until } from "./exchange.ts";
import { withTracer } from "./sandbox.ts";

const port = freePort();
const PROBLEM = "application/problem+json";

withTracer("HTTP", ["--listen", `127.0.0.1:${port}`], ({ sandbox, tracer }) => {
  /** Asks over both listeners; the answers must be the same. */
  async function ask(path: string, request: RequestInit = {}) {
    const responses = await Promise.all([
      tracer().get(path, request),
      fetch(`http://127.0.0.1:${port}${path}`, request),
    ]);
    const read = responses.map(async (response) => {
      const { status, headers } = response;
      return { status, type: headers.get("Content-Type"), headers, body: await response.text() };
    });
    const [unix, tcp] = await Promise.all(read);
    if (unix === undefined || tcp === undefined) throw new Error("no answer");
    expect({ status: unix.status, type: unix.type }).toEqual({
      status: tcp.status,
      type: tcp.type,
    });
    return unix;
  }

  test("health", async () => {
    expect(await ask("/health")).toMatchObject({ status: 200, body: '{"status":"ok"}' });
  });

  test("bad parameters: 400 with what zod found", async () => {
    const bad = [
      "/connections?client_id=",
      `/connections?client_id=${"x".repeat(129)}`,
      "/connections?client_id=a%0Ab",
      "/connections?client_id=a%00",
      "/connections?client_id=%7F",
      "/connections?client_id=a&client_id=b",
      "/connections?clientid=a",
      `/register?client_id=${"é".repeat(129)}`,
      "/debug/net_state?client_id=%1B%5B2J",
      "/debug/net_maps?limit=1",
      "/debug/ebpf_maps?maps=tcp_conns,../../etc/passwd",
    ];
    for (const path of bad) {
      const { status, type, body } = await ask(path);
      expect({ path, status, type }).toEqual({ path, status: 400, type: PROBLEM });
      expect(JSON.parse(body)).toMatchObject({ status: 400, issues: [expect.anything()] });
    }
    expect((await ask(`/connections?client_id=${"é".repeat(128)}`)).status).toBe(200);
    // What was refused has registered nobody.
    expect((await tracer().stats()).state.clients).toBe(1);
  });

  test("unknown Accept: 406; the formats that there are: 200", async () => {
    for (const accept of ["text/html", "application/xml;q=0.9", "application/json;q=0"]) {
      const { status, type, body } = await ask("/connections", { headers: { Accept: accept } });
      expect({ accept, status, type }).toEqual({ accept, status: 406, type: PROBLEM });
      expect(body).toContain("application/json, application/msgpack");
    }
    for (const [accept, expected] of [
      ["*/*", "application/json"],
      ["application/msgpack", "application/msgpack"],
      ["text/html, application/*;q=0.1", "application/json"],
    ]) {
      const headers = { Accept: accept ?? "" };
      expect(await ask("/connections", { headers })).toMatchObject({ status: 200, type: expected });
    }
  });

  test("wrong method: 405 that says which are right; unknown path: 404", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const { status, type, headers } = await ask("/connections", { method });
      expect({ method, status, type, allow: headers.get("Allow") }).toEqual({
        ...{ method, status: 405, type: PROBLEM, allow: "GET, HEAD" },
      });
    }
    for (const path of ["/", "/nothing", "/connections/", "/debug", "/../etc/passwd", "/%00"]) {
      expect({ path, ...(await ask(path)) }).toMatchObject({ path, status: 404, type: PROBLEM });
    }
  });

  test("HEAD: the headers alone, and nobody is registered", async () => {
    const { clients } = (await tracer().stats()).state;
    const answer = await ask("/connections?client_id=head", { method: "HEAD" });
    expect(answer).toMatchObject({ status: 200, type: "application/json", body: "" });
    expect((await tracer().stats()).state.clients).toBe(clients);
  });

  test("a query of 1 MB, and other monsters: refused, and the next request is answered", async () => {
    const monsters: [string, RequestInit][] = [
      [`/connections?client_id=${"x".repeat(1 << 20)}`, {}],
      [`/connections?${"a=b&".repeat(1 << 18)}`, {}],
      [`/${"x".repeat(1 << 20)}`, {}],
      ["/connections", { headers: { Accept: `${"a/b,".repeat(1 << 14)}` } }],
      ["/connections", { method: "POST", body: new Uint8Array(1 << 20) }],
    ];
    for (const [path, request] of monsters) {
      const { status } = await ask(path, request);
      expect(status).toBeWithin(400, 500);
      expect((await ask("/health")).status).toBe(200);
    }
  });

  test("what isn't HTTP", async () => {
    for (const bytes of ["\0\x01\x02\r\n\r\n", "GET / SPDY/3\r\n\r\n", "\x16\x03\x01\x02\0\x01"]) {
      const socket = dial(port, "127.0.0.1");
      socket.end(bytes);
      await Promise.race([
        new Promise((resolve) => socket.resume().once("close", resolve)),
        Bun.sleep(500),
      ]);
      socket.destroy();
      expect((await ask("/health")).status).toBe(200);
    }
  });

  test("compression where it is asked for and worth it", async () => {
    for (const encoding of ["gzip", "zstd"]) {
      const response = await fetch(`http://127.0.0.1:${port}/debug/status`, {
        headers: { "Accept-Encoding": encoding },
        decompress: false,
      });
      expect(response.headers.get("Content-Encoding")).toBe(encoding);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const text = encoding === "gzip" ? Bun.gunzipSync(bytes) : Bun.zstdDecompressSync(bytes);
      expect(JSON.parse(new TextDecoder().decode(text))).toHaveProperty("capabilities");
    }
    const small = await fetch(`http://127.0.0.1:${port}/health`, {
      headers: { "Accept-Encoding": "gzip, zstd" },
    });
    expect(small.headers.get("Content-Encoding")).toBeNull();
  });

  test("ebpf_maps: text, of all maps or of those that are named", async () => {
    const { type, body } = await ask("/debug/ebpf_maps");
    expect(type).toBe("text/plain; charset=utf-8");
    const names = [...body.matchAll(/^(\w+): key/gm)].map(([, name]) => name);
    expect(names).toContain("tcp_conns");
    expect(names).toContain("events");
    const two = await ask("/debug/ebpf_maps?maps=counters,listeners");
    expect([...two.body.matchAll(/^(\w+): key/gm)].map(([, name]) => name)).toEqual([
      ...["counters", "listeners"],
    ]);
    const unknown = await ask("/debug/ebpf_maps?maps=nothing");
    expect(unknown).toMatchObject({ status: 500, type: PROBLEM });
    expect(unknown.body).toContain("find map nothing: the maps are tcp_conns");
  });

  test("msgpack says what JSON says", async () => {
    const server = await ExchangeServer.listen();
    const exchange = await server.open();
    await exchange.transfer(1000, 2000);
    const [{ lport, rport }] = exchange.tuples;
    const isOurs = ({ laddr, raddr }: Connections["conns"][number]) =>
      [laddr.port, raddr.port].sort().join() === [lport, rport].sort().join();
    const read = async (accept: string) => {
      const response = await tracer().get("/debug/net_maps", { headers: { Accept: accept } });
      const bytes = new Uint8Array(await response.arrayBuffer());
      const document = (
        accept.endsWith("msgpack") ? decode(bytes) : JSON.parse(new TextDecoder().decode(bytes))
      ) as Connections;
      // The moment of the answer, and counters that other traffic of the host moves.
      const { latestTime, conns, connTelemetryMap, ...rest } = document;
      expect(typeof latestTime).toBe("number");
      const names = Object.keys(connTelemetryMap);
      return { ...rest, names, ours: conns.filter(isOurs).map(withoutTime) };
    };
    const [json, msgpack] = [await read("application/json"), await read("application/msgpack")];
    expect(json.ours).toHaveLength(2);
    expect(msgpack).toEqual(json);
    await exchange.close();
    server.close();
  });

  test("two slow readers: the third gets 429, other paths don't wait", async () => {
    // Enough rows that an answer doesn't fit into the buffers of a socket.
    const server = await ExchangeServer.listen();
    const exchanges: Exchange[] = [];
    for (let i = 0; i < 1500; i++) exchanges.push(await server.open());
    const readers = [await slowReader("/debug/net_maps"), await slowReader("/debug/net_maps")];
    const third = await tracer().get("/debug/net_maps");
    expect(third.status).toBe(429);
    expect(third.headers.get("Content-Type")).toBe(PROBLEM);
    expect(Number(third.headers.get("Retry-After"))).toBeGreaterThan(0);
    for (const path of ["/health", "/debug/stats", "/connections?client_id=fast"]) {
      expect({ path, status: (await tracer().get(path)).status }).toEqual({ path, status: 200 });
    }

    // One goes away, the other reads on after all: both give their place back.
    const [gone, patient] = readers;
    gone?.destroy();
    let received = 0;
    patient?.on("data", ({ length }) => {
      received += length;
    });
    patient?.resume();
    await until("a place is free again", async () => {
      const { ok, body } = await tracer().get("/debug/net_maps");
      await body?.cancel();
      return ok;
    });
    await until("the patient reader has all", () => received > 1_000_000);
    await until("both places are free again", async () => {
      const both = await Promise.all([1, 2].map(() => tracer().get("/debug/net_maps")));
      const documents = await Promise.all(both.map((response) => response.text()));
      return both.every(({ ok }) => ok) && documents.every((text) => text.endsWith("}"));
    });
    patient?.destroy();
    await Promise.all(exchanges.map((exchange) => exchange.close()));
    server.close();
  });

  /** A client that has got the head of the answer and reads no further. */
  async function slowReader(path: string): Promise<Socket> {
    const socket = dial(sandbox().socket);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const head = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    socket.pause();
    expect(head.toString("latin1")).toStartWith("HTTP/1.1 200 OK\r\n");
    return socket;
  }
});

/** A row without what moves while nothing happens. */
function withoutTime({ lastUpdate, ...rest }: Connections["conns"][number]) {
  expect(lastUpdate).toBeGreaterThan(0);
  return rest;
}
