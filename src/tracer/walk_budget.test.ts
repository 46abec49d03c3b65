import { expect, test } from "bun:test";
import { WalkBudget } from "./walk_budget.ts";

test("walks only when connections were accepted, and at most a tenth of the time", () => {
  let now = 1000;
  const budget = new WalkBudget(() => now);
  expect(budget.isDue(0)).toBe(false);
  expect(budget.isDue(3)).toBe(true);
  budget.spend(3, () => {
    now += 60;
  });
  now += 10_000;
  expect(budget.isDue(3)).toBe(false);
  budget.spend(4, () => {
    now += 60;
  });
  now += 539;
  expect(budget.isDue(5)).toBe(false);
  now += 1;
  expect(budget.isDue(5)).toBe(true);
});
