import { expect, test } from "bun:test";
import { FlowControl } from "./flow_control.ts";

const LONG = 60_000;

test("there is room up to the limit, and again when a part is taken", async () => {
  const flow = new FlowControl(2, LONG);
  flow.sent();
  expect(await flow.room()).toBe(true);
  flow.sent();
  let roomy = false;
  const waiting = flow.room().then((room) => {
    roomy = room;
  });
  await Bun.sleep(5);
  expect(roomy).toBe(false);
  flow.taken();
  await waiting;
  expect(roomy).toBe(true);
});

test("a reader who goes ends the waiting", async () => {
  const flow = new FlowControl(1, LONG);
  flow.sent();
  const waiting = flow.room();
  flow.cancel();
  expect(await waiting).toBe(false);
  expect(await flow.room()).toBe(false);
});

test("patience is for the whole answer, and then there is always room", async () => {
  const flow = new FlowControl(1, 20);
  flow.sent();
  expect(await flow.room()).toBe(true);
  flow.sent();
  const start = performance.now();
  expect(await flow.room()).toBe(true);
  expect(performance.now() - start).toBeLessThan(15);
});
