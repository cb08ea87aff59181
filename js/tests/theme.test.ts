// @vitest-environment jsdom
import { beforeEach, expect, test, vi } from "vitest";
import { RunModel } from "../src/data/model";
import { Chart } from "../src/draw/chart";
import { axisTop } from "../src/draw/layout";
import { lookOf } from "../src/draw/theme";
import { uniqueId } from "../src/view/dom";

beforeEach(() => {
  document.body.replaceChildren();
  document.body.style.background = "";
});

test("light or dark is what stands behind, also around a shadow root", () => {
  const host = document.createElement("div");
  document.body.append(host);
  const inside = document.createElement("section");
  host.attachShadow({ mode: "open" }).append(inside);
  expect(lookOf(inside)).toBe("light");
  document.body.style.background = "rgb(20, 24, 28)";
  expect(lookOf(inside)).toBe("dark");
  host.style.background = "rgba(255, 255, 255, 0.1)";
  expect(lookOf(inside)).toBe("dark");
  host.style.background = "white";
  expect(lookOf(inside)).toBe("light");
});

test("no two ids of a page are the same, whatever loaded the module again", async () => {
  const first = uniqueId("x");
  vi.resetModules();
  const again = await import("../src/view/dom");
  expect(again.uniqueId("x")).not.toBe(first);
});

test("an axis ends little above what it holds", () => {
  expect([1, 2, 7, 11, 45, 99, 101].map(axisTop)).toEqual([1, 2, 8, 20, 50, 100, 200]);
});

test("a drag on the chart that the browser took over chooses nothing afterwards", () => {
  const choose = vi.fn();
  const chart = new Chart({ choose, tip: () => {} });
  document.body.append(chart.element);
  chart.draw(new RunModel(), 1000, null, {} as never);
  const send = (type: string, clientX: number) =>
    chart.element
      .querySelector("canvas")
      ?.dispatchEvent(Object.assign(new MouseEvent(type, { clientX, bubbles: true }), { pointerId: 1 }));
  for (const [type, x] of [
    ["pointerdown", 0],
    ["pointercancel", 0],
    ["pointermove", 1],
    ["pointerup", 1],
  ] as const)
    send(type, x);
  expect(choose).not.toHaveBeenCalled();
});
