// @vitest-environment jsdom
import { beforeEach, expect, test, vi } from "vitest";
import type { Details, Reply } from "../src/data/protocol";
import { type Channel, Store } from "../src/data/store";
import { Controls } from "../src/view/controls";
import { DetailsPane } from "../src/view/details";
import { RowTable, type TableActions } from "../src/view/table";
import { buffersOf, STORY, type Told } from "./story";

const HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m";
const told = STORY[3] as Told;

class Line implements Channel {
  listener: (...args: never[]) => void = () => {};
  sent: { do: string; id: number }[] = [];

  get(): unknown {
    return {};
  }

  send(content: unknown): void {
    this.sent.push(content as { do: string; id: number });
  }

  on(event: string, listener: (...args: never[]) => void): void {
    if (event === "msg:custom") this.listener = listener;
  }

  say(content: unknown, buffers: DataView[] = []): void {
    (this.listener as (...args: unknown[]) => void)(content, buffers);
  }
}

let line: Line;
let store: Store;

beforeEach(() => {
  line = new Line();
  store = new Store(line);
  document.body.replaceChildren();
});

function tell(change: Partial<Told> = {}): void {
  line.say({ ...told, ...change }, buffersOf(told));
}

function shownTable(actions: Partial<TableActions> = {}): RowTable {
  const table = new RowTable({ sort: vi.fn(), select: vi.fn(), open: vi.fn(), moved: vi.fn(), ...actions });
  document.body.append(table.element);
  Object.defineProperty(table.element, "clientHeight", { value: 200 });
  table.setOrder(Uint32Array.from([0, 1, 2]), "position", false);
  table.draw(store.run);
  return table;
}

test("at the end the figures are the kernel's own", () => {
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  tell({ state: "DONE", latency: [12.3, 45.6, 78.9], closing: "done" });
  controls.draw(0);
  const figure = (name: string) => document.querySelector(`.fr-f-${name} dd`)?.textContent;
  expect([figure("p50"), figure("p95"), figure("p99")]).toEqual(["12 ms", "46 ms", "79 ms"]);
});

test("of a run whose kernel is gone nothing is said to go on", () => {
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  tell();
  store.run.alive = false;
  controls.draw(0);
  const figure = (name: string) => document.querySelector(`.fr-f-${name} dd`)?.textContent;
  expect([figure("in_flight"), figure("waiting"), figure("eta")]).toEqual(["–", "–", "–"]);
});

test("large files on their way are drawn with what is there of them", () => {
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  const files: [string, number | null, string][] = [
    [HOSTILE, 0.25, "1.0 MB of 4.0 MB"],
    ["part", null, "3.0 MB, 2.0 MB/s"],
    ["", null, "and 2 more"],
  ];
  tell({ state: "RUNNING", progress: { ...told.progress, files } });
  controls.draw(0);
  const bars = [...document.querySelectorAll<HTMLProgressElement>(".fr-files progress")];
  expect(bars.map((bar) => bar.getAttribute("value"))).toEqual(["0.25", null]);
  const lines = [...document.querySelectorAll(".fr-files p")].map(({ textContent }) => textContent);
  expect(lines[1]).toBe("part3.0 MB, 2.0 MB/s");
  expect(lines[2]).toBe("and 2 more");
  expect(document.querySelector("img")).toBeNull();
  tell({ state: "DONE" });
  controls.draw(0);
  expect(document.querySelector(".fr-files p")).toBeNull();
});

test("Enter opens the chosen row, but on a head it sorts", () => {
  tell();
  const open = vi.fn();
  const table = shownTable({ open });
  table.setSelected(1);
  const press = (target: Element | null) =>
    target?.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  press(document.querySelector("th button"));
  expect(open).not.toHaveBeenCalled();
  press(table.table);
  expect(open).toHaveBeenCalledWith(1);
});

test("the table holds what the kernel told, as text", () => {
  tell({ url: [HOSTILE, "https://a.example/2", "https://a.example/3"], detail: { 2: HOSTILE } });
  shownTable();
  expect(document.querySelector("img")).toBeNull();
  const cells = [...document.querySelectorAll("tbody tr:first-child td")].map((cell) => cell.textContent);
  expect(cells).toEqual([
    "0",
    "200",
    "GET",
    "first  <img src=x onerror=alert(1)>⟨U+202E⟩␛[31m",
    "1",
    "9 B",
    "69 ms",
    "",
  ]);
});

test("the table tells a screen reader how many rows there are, which is sorted, which is chosen", () => {
  tell();
  const table = shownTable();
  table.setSelected(1);
  table.draw(store.run);
  const grid = document.querySelector("table");
  expect(grid?.getAttribute("aria-rowcount")).toBe("4");
  expect(document.querySelector("th")?.getAttribute("aria-sort")).toBe("ascending");
  const active = grid?.getAttribute("aria-activedescendant") ?? "";
  expect(document.getElementById(active)?.getAttribute("aria-selected")).toBe("true");
});

test("arrows choose rows, Enter opens one", () => {
  tell();
  const select = vi.fn((row: number) => table.setSelected(row));
  const open = vi.fn();
  const table = shownTable({ select, open });
  const press = (key: string) =>
    table.table.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  for (const key of ["ArrowDown", "ArrowDown", "End", "ArrowUp", "Home", "Enter"]) press(key);
  expect(select.mock.calls.map(([row]) => row)).toEqual([0, 1, 2, 1, 0]);
  expect(open).toHaveBeenCalledWith(0);
});

test("details show what came from the network as text, and say what a backend cannot see", async () => {
  tell();
  const pane = new DetailsPane(store, { closed: () => {}, step: () => {} });
  document.body.append(pane.element);
  const shown = pane.show(0);
  const id = line.sent[0]?.id ?? 0;
  const details: Details = {
    line: `200 OK ${HOSTILE}`,
    failed: false,
    place: "orders.iloc[0]",
    tabs: {
      response: [{ title: "", text: `${HOSTILE}<script>alert(1)</script>`, note: null }],
      request: [{ title: "Query", facts: [["q", HOSTILE]] }],
      headers: [{ title: "Response headers", facts: [["X-Evil", HOSTILE]] }],
      timing: [
        {
          title: "",
          attempts: [
            {
              title: "1. 200",
              failed: false,
              notes: ["2026-11-03 12:00:00.000 UTC"],
              phases: [
                ["queued", 1],
                ["dns", null],
                ["attempt", 12.5],
              ],
            },
          ],
        },
      ],
    },
  };
  line.say({ kind: "reply", id, ok: true, details } satisfies Reply);
  await shown;
  expect(document.querySelector("pre")?.textContent).toContain("<script>alert(1)</script>");
  const seen: string[] = [];
  for (const tab of document.querySelectorAll<HTMLElement>("[role=tab]")) {
    tab.click();
    expect(document.querySelector("img, script")).toBeNull();
    seen.push(pane.element.textContent ?? "");
  }
  expect(seen[3]).toContain("not seen");
  for (const text of seen) for (const mark of ["\u202e", "\u001b"]) expect(text).not.toContain(mark);
});

test("buttons send commands, and a refused setting is said beside its field", async () => {
  tell({ state: "RUNNING" });
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  controls.draw(0);
  document.querySelector<HTMLButtonElement>(".fr-button")?.click();
  expect(line.sent[0]).toMatchObject({ do: "pause" });
  const field = document.querySelector<HTMLInputElement>(".fr-settings input");
  if (!field) throw new Error("no field");
  field.value = "5000";
  field.dispatchEvent(new Event("change"));
  expect(line.sent[1]).toMatchObject({ do: "update", concurrency: "5000" });
  line.say({
    kind: "reply",
    id: line.sent[1]?.id ?? 0,
    ok: false,
    field: "concurrency",
    said: "give 1 to 1000",
  });
  await Promise.resolve();
  await Promise.resolve();
  expect(field.getAttribute("aria-invalid")).toBe("true");
  expect(document.querySelector(".fr-error")?.textContent).toBe("give 1 to 1000");
});

test("what auto has come to stands in the note while the run goes on", () => {
  tell({
    state: "RUNNING",
    settings: { concurrency: "auto", auto: "auto 24: 48 brought no more", rate_limit: "" },
  });
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  controls.draw(0);
  const told = document.querySelector<HTMLElement>(".fr-note");
  expect(told?.textContent).toBe("auto 24: 48 brought no more");
  expect(document.querySelector<HTMLInputElement>(".fr-settings input")?.value).toBe("auto");
  tell({ state: "RUNNING" });
  controls.draw(0);
  expect(told?.hidden).toBe(true);
});

test("a finished run offers to send its failures again, and nothing else", () => {
  tell({ state: "DONE", closing: "orders: 3 of 4 ok" });
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  controls.draw(0);
  const buttons = [...document.querySelectorAll<HTMLButtonElement>("button")].filter(({ hidden }) => !hidden);
  expect(buttons.map(({ textContent }) => textContent)).toEqual(["▾", "Retry 1 failed"]);
  expect(document.querySelector(".fr-note")?.textContent).toBe("orders: 3 of 4 ok");
});

test("a kernel that is gone leaves a panel that says so, without anything to press", () => {
  tell({ state: "RUNNING" });
  store.connection = "stopped";
  const controls = new Controls(store, { fold: () => {}, more: () => {} });
  document.body.append(controls.element);
  controls.draw(0);
  const enabled = [...document.querySelectorAll<HTMLButtonElement>(".fr-button")].filter(
    ({ hidden, disabled }) => !hidden && !disabled,
  );
  expect(enabled).toEqual([]);
  expect(document.body.textContent).toContain(
    "The kernel stopped before this run ended. 4 requests had finished",
  );
});
