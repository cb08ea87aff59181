import { expect, test } from "vitest";
import { Histogram } from "../src/data/figures";
import { RunModel } from "../src/data/model";
import { everything, order } from "../src/data/order";
import { ROW } from "../src/data/protocol";
import { batchOf, STORY, type Told } from "./story";

function told(steps = STORY.length): RunModel {
  const model = new RunModel();
  for (const step of STORY.slice(0, steps)) model.apply(batchOf(step), 0);
  return model;
}

test("what is known grows with each message", () => {
  const model = told(1);
  expect(model.known).toBe(2);
  expect([model.state(0), model.state(1)]).toEqual([ROW.inFlight, ROW.waiting]);
  const later = told(2);
  expect([0, 1, 2, 3].map((row) => later.state(row))).toEqual([ROW.ok, ROW.ok, ROW.failed, ROW.inFlight]);
});

test("texts told once are kept when numbers follow alone", () => {
  const model = told(2);
  expect(model.url(0)).toBe("https://a.example/orders/1?page=2");
  expect(model.nameOf(0)).toBe("first");
  expect(model.cause(2)).toBe("cause of timeout");
  expect(model.word("host", 2)).toBe("https://b.example");
});

test("a row has its attempts in order, and one that goes on has no end", () => {
  const model = told();
  expect(model.attempts(1).map((attempt) => [attempt.number, attempt.status])).toEqual([
    [1, 503],
    [2, 200],
  ]);
  expect(model.attempts(3)[0]?.total).toBeNaN();
  const [from, to] = model.span(1, 0);
  expect([from, to]).toEqual([expect.closeTo(99, 3), expect.closeTo(560, 3)]);
});

test("rows told again are not counted again", () => {
  const model = told();
  const before = model.latency.total;
  for (const step of STORY) model.apply(batchOf(step), 0);
  expect(before).toBe(3);
  expect(model.latency.total).toBe(before);
});

test("the clock stands still once the kernel is gone", () => {
  const model = told();
  model.alive = false;
  expect(model.clock(2500)).toBe(1500);
});

test("a row answered before the run began is known as such, and was not retried in it", () => {
  const model = new RunModel();
  const batch = batchOf(STORY[1] as Told);
  batch.attempts.start.fill(Number.NaN);
  model.apply(batch, 0);
  expect([0, 1, 2, 3].map((row) => model.earlier(row))).toEqual([true, true, true, false]);
  expect(order(model, { ...everything(), chip: "retried" }, 0)).toHaveLength(0);
  expect(model.latency.total).toBe(3);
  expect(model.bins.bins).toHaveLength(0);
});

test("what was given up has a latency and no part in the throughput", () => {
  const model = new RunModel();
  const batch = batchOf(STORY[1] as Told);
  batch.head.words = batch.head.words.map((word) => (word === "timeout" ? "cancelled" : word));
  model.apply(batch, 0);
  expect(model.latency.total).toBe(3);
  expect(model.bins.series(1e6).points.map((point) => point.failed)).toEqual([0]);
});

test("the clock goes on between messages, but not past a kernel that fell silent", () => {
  const model = told();
  expect(model.clock(500)).toBe(2000);
  expect(model.clock(60_000)).toBe(4500);
});

test("rows are sorted, in both directions, equal ones by position and those without a value last", () => {
  const model = told();
  const rows = (change: object) => [...order(model, { ...everything(), ...change }, 2000)];
  expect(rows({})).toEqual([0, 1, 2, 3]);
  expect(rows({ descending: true })).toEqual([3, 2, 1, 0]);
  expect(rows({ sort: "elapsed" }).slice(-1)).toEqual([3]);
  expect(rows({ sort: "elapsed", descending: true })[0]).toBe(1);
  expect(rows({ sort: "elapsed", descending: true }).slice(-1)).toEqual([3]);
  expect(rows({ sort: "tries", descending: true })).toEqual([1, 0, 2, 3]);
  expect(rows({ sort: "url" })[0]).toBe(0);
  expect(rows({ sort: "method", descending: true })[0]).toBe(2);
});

test("rows are filtered by text, chip and time", () => {
  const model = told();
  const rows = (change: object) => [...order(model, { ...everything(), ...change }, 2000)];
  expect(rows({ text: "ORDERS" })).toEqual([0, 1]);
  expect(rows({ text: "timeout" })).toEqual([2]);
  expect(rows({ text: "first" })).toEqual([0]);
  expect(rows({ chip: "failed" })).toEqual([2]);
  expect(rows({ chip: model.rows.error[2] })).toEqual([2]);
  expect(rows({ chip: "retried" })).toEqual([1]);
  expect(rows({ chip: "ok" })).toEqual([0, 1]);
  expect(rows({ chip: "active" })).toEqual([3]);
  expect(rows({ chip: "unsent" })).toEqual([]);
  expect(rows({ window: [400, 580] })).toEqual([1]);
  expect(rows({ window: [700, 800] })).toEqual([3]);
});

test("quantiles are within two hundredths of the exact ones", () => {
  const histogram = new Histogram();
  for (let i = 1; i <= 10_000; i++) histogram.add(i / 10);
  const [p50 = 0, p95 = 0, p99 = 0] = histogram.quantiles([0.5, 0.95, 0.99]);
  expect(Math.abs(p50 / 500 - 1)).toBeLessThan(0.02);
  expect(Math.abs(p95 / 950 - 1)).toBeLessThan(0.02);
  expect(Math.abs(p99 / 990 - 1)).toBeLessThan(0.02);
  expect(new Histogram().quantiles([0.5])[0]).toBeNaN();
});

test("quantiles of few values are values that were measured, by nearest rank", () => {
  const histogram = new Histogram();
  for (const value of [234, 91, 120, 100, 140]) histogram.add(value);
  expect(histogram.quantiles([0.5, 0.95, 0.99])).toEqual([120, 234, 234]);
});

test("time bins join when a run outlasts them, and lose nothing", () => {
  const model = new RunModel();
  for (let i = 0; i < 5000; i++) model.bins.add(i * 10, i % 100, i % 7 !== 0);
  expect(model.bins.bins.length).toBeLessThanOrEqual(2400);
  for (const least of [1, 130, 4000]) {
    const { points, width } = model.bins.series(least);
    expect(width / 10 ** Math.floor(Math.log10(width))).toBeOneOf([1, 2, 5]);
    expect(points.reduce((sum, point) => sum + point.ok + point.failed, 0)).toBe(5000);
  }
});
