import { describe, expect, test } from "vitest";
import type { Attempt } from "../src/data/attempts";
import {
  aligned,
  moved,
  roundStep,
  rowSegments,
  scrollTo,
  ticks,
  toTime,
  toX,
  visibleRows,
  zoomed,
} from "../src/draw/layout";

const SCALE = { domain: { from: 0, to: 1000 }, width: 500 };
const NONE = Number.NaN;

function attempt(given: Partial<Attempt> = {}): Attempt {
  const full = {
    number: 1,
    start: 100,
    queued: 20,
    dns: 10,
    connect: 20,
    tls: 30,
    wait: 100,
    receive: 40,
    total: 200,
  };
  return { ...full, retryWait: 0, status: 200, error: 0, ...given };
}

function spans(attempts: Attempt[], now = 1000): (string | number)[][] {
  return rowSegments(attempts, SCALE, now).map(({ phase, x, width }) => [phase, x, width]);
}

describe("the bars of a row", () => {
  test("are its phases one after another, to scale", () => {
    expect(spans([attempt()])).toEqual([
      ["queued", 40, 10],
      ["dns", 50, 5],
      ["connect", 55, 10],
      ["tls", 65, 15],
      ["wait", 80, 50],
      ["receive", 130, 20],
    ]);
  });

  test("show time that no phase accounts for as such", () => {
    expect(spans([attempt({ total: 300 })]).map(([phase]) => phase)).toContain("other");
    expect(spans([attempt({ dns: NONE, connect: NONE, tls: NONE, wait: NONE, receive: NONE })])).toEqual([
      ["queued", 40, 10],
      ["other", 50, 100],
    ]);
  });

  test("never leave their attempt, whatever the phases say", () => {
    const wrong = spans([attempt({ dns: 500, receive: 900 })]);
    expect(Math.max(...wrong.map(([, x, width]) => Number(x) + Number(width)))).toBeLessThanOrEqual(150);
  });

  test("have a gap for the wait before a retry, up to now", () => {
    const tries = [attempt({ retryWait: 400, error: 3 }), attempt({ number: 2, start: 700 })];
    expect(spans(tries)).toContainEqual(["retry", 150, 200]);
    expect(spans([attempt({ retryWait: 400, error: 3 })], 500)).toContainEqual(["retry", 150, 100]);
  });

  test("grow while an attempt goes on", () => {
    const open = attempt({ total: NONE, wait: NONE });
    expect(spans([open], 300)).toEqual([
      ["queued", 40, 10],
      ["live", 50, 100],
    ]);
    expect(spans([attempt({ total: NONE, wait: 100 })], 300)).toContainEqual(["live", 100, 50]);
  });

  test("are at least a pixel wide, cut at the edges, and left out beyond them", () => {
    expect(spans([attempt({ dns: 0.001 })]).find(([phase]) => phase === "dns")?.[2]).toBe(1);
    expect(spans([attempt({ start: 5000 })])).toEqual([]);
    expect(spans([attempt({ start: NONE })])).toEqual([]);
    const far = spans([attempt({ start: -1e6, total: 2e6 })]);
    for (const [, x, width] of far) expect(Number(x) + Number(width)).toBeLessThanOrEqual(SCALE.width + 2);
  });

  test("begin at the left when rows are aligned", () => {
    expect(aligned([attempt(), attempt({ start: 700 })]).map(({ start }) => start)).toEqual([20, 620]);
  });
});

describe("the time axis", () => {
  test("turns times into pixels and back", () => {
    expect(toX(SCALE, 250)).toBe(125);
    expect(toTime(SCALE, toX(SCALE, 333))).toBeCloseTo(333);
  });

  test.each([
    [0.03, 0.05],
    [7, 10],
    [130, 200],
    [1000, 1000],
    [11_000, 15_000],
    [61_000, 120_000],
    [1e12, 604_800_000],
  ])("steps of at least %f ms are %f ms", (least, step) => {
    expect(roundStep(least)).toBeCloseTo(step, 9);
  });

  test("has ticks at round times, far enough apart", () => {
    expect(ticks(SCALE, 72).map(({ time }) => time)).toEqual([0, 200, 400, 600, 800, 1000]);
  });

  test("zooms around a moment, which stays where it was", () => {
    const near = zoomed({ from: 0, to: 1000 }, 2, 250, 1000);
    expect(near).toEqual({ from: 125, to: 625 });
    expect(zoomed(near, 0.1, 250, 1000)).toEqual({ from: 0, to: 1000 });
    const nearest = zoomed(near, 1e9, 250, 1000);
    expect(nearest.to - nearest.from).toBeCloseTo(0.05);
  });

  test("does not leave the run when moved", () => {
    expect(moved({ from: 100, to: 300 }, -500, 1000)).toEqual({ from: 0, to: 200 });
    expect(moved({ from: 100, to: 300 }, 5000, 1000)).toEqual({ from: 800, to: 1000 });
  });
});

describe("the rows in view", () => {
  test("are few, whatever the number of rows", () => {
    const slice = visibleRows(100_000, 24, 1_200_000, 300);
    expect(slice).toEqual({ first: 50_000, last: 50_014, top: 1_200_000, height: 2_400_000 });
  });

  test("are none of none", () => {
    expect(visibleRows(0, 24, 0, 300)).toMatchObject({ first: 0, last: 0 });
  });

  test("are scrolled only as far as a row needs to be seen", () => {
    expect(scrollTo(5, 24, 0, 300)).toBe(0);
    expect(scrollTo(20, 24, 0, 300)).toBe(204);
    expect(scrollTo(2, 24, 500, 300)).toBe(48);
  });
});
