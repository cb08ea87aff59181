// @vitest-environment jsdom
// What is shown of a run: chips, groups, failures first, files.

import { beforeEach, expect, test, vi } from "vitest";
import { RunModel } from "../src/data/model";
import { everything, figuresOf, GROUP, grouped, isGroup, order } from "../src/data/order";
import { type Batch, NOTHING, ROW } from "../src/data/protocol";
import { isShort } from "../src/view/controls";
import { Filters } from "../src/view/filters";
import { csvOf } from "../src/view/footer";
import { statusText } from "../src/view/table";

const HOSTILE = '=cmd|"/C calc"!A0';

interface Row {
  state?: number;
  error?: string;
  tries?: number;
  status?: number;
  host?: string;
  cached?: string;
  chain?: number;
  page?: number;
  looks?: number;
  elapsed?: number;
  size?: number;
}

function told(rows: Row[], change = {}): RunModel {
  const words = [
    ...new Set(["", ...rows.flatMap(({ error = "", host = "", cached = "" }) => [error, host, cached])]),
  ];
  const numbers = <T>(of: (row: Row) => number, type: { from(values: number[]): T }): T =>
    type.from(rows.map(of));
  const word = (of: (row: Row) => string | undefined) =>
    Uint16Array.from(rows.map((row) => words.indexOf(of(row) ?? "")));
  const batch = {
    head: {
      ...NOTHING,
      count: rows.length,
      known: rows.length,
      words,
      url: rows.map((_, i) => `https://a.example/${i}`),
      name_of: {},
      detail: { 0: HOSTILE },
      state: "DONE",
      ...change,
    },
    rows: {
      position: Uint32Array.from(rows.keys()),
      size: numbers(({ size = 10 }) => size, Float64Array),
      elapsed: numbers(({ elapsed = 5 }) => elapsed, Float32Array),
      status: numbers(({ status = 200 }) => status, Uint16Array),
      tries: numbers(({ tries = 1 }) => tries, Uint8Array),
      state: numbers(({ state = ROW.ok }) => state, Uint8Array),
      chain: numbers(({ chain = 0 }) => chain, Uint32Array),
      page: numbers(({ page = 0 }) => page, Uint16Array),
      looks: numbers(({ looks = 0 }) => looks, Uint16Array),
      error: word(({ error }) => error),
      host: word(({ host }) => host),
      cached: word(({ cached }) => cached),
      method: new Uint16Array(rows.length),
      type: new Uint16Array(rows.length),
    },
    attempts: Object.fromEntries(
      "start queued dns connect tls wait receive total retryWait position status error number"
        .split(" ")
        .map((name) => [name, new Float64Array(0)]),
    ),
  } as unknown as Batch;
  const model = new RunModel();
  model.apply(batch, 0);
  return model;
}

const FAILED = { state: ROW.failed, status: 404, error: "http 404" };
const CUT = { state: ROW.failed, status: 0, error: "cancelled" };
const MIXED = [
  {},
  FAILED,
  { ...CUT, tries: 1 },
  { ...CUT, tries: 0 },
  FAILED,
  { cached: "fresh", tries: 0 },
  {},
];
const query = (change: object) => ({ ...everything(), ...change });

beforeEach(() => document.body.replaceChildren());

test("rows that the run gave up are told apart, by words", () => {
  const model = told(MIXED);
  expect(MIXED.map((_, row) => statusText(model, row))).toEqual([
    "200",
    "404",
    "cut off",
    "not sent",
    "404",
    "200 cached",
    "200",
  ]);
  const { failed, ...others } = model.counts;
  expect(others).toEqual({ ok: 4 - 1, retried: 0, cached: 1, cut: 1, unsent: 1 });
  expect([...failed.values()]).toEqual([2]);
});

test("failures come first, then what was cut off, all else in its order", () => {
  expect([...order(told(MIXED), query({ sort: "trouble" }), 0)]).toEqual([1, 4, 2, 0, 3, 5, 6]);
});

test("chips count and filter, a second press shows all", () => {
  const ask = vi.fn();
  const filters = new Filters({ query: ask, zoom: () => {}, mode: () => {}, follow: () => {} });
  document.body.append(filters.chips);
  const draw = (chip: never) =>
    filters.draw(told(MIXED), query({ chip }), false, { mode: "rows", window: null } as never);
  draw("all" as never);
  const chips = [...document.querySelectorAll<HTMLElement>(".fr-filter")].filter(({ hidden }) => !hidden);
  expect(chips.map(({ textContent }) => textContent)).toEqual([
    "All7",
    "ok3",
    "4042",
    "cached1",
    "cut off1",
    "not sent1",
  ]);
  chips[2]?.click();
  const { chip } = ask.mock.calls[0]?.[0] ?? {};
  expect([...order(told(MIXED), query({ chip }), 0)]).toEqual([1, 4]);
  draw(chip as never);
  chips[2]?.click();
  expect(ask).toHaveBeenLastCalledWith({ chip: "all" });
});

test("groups are lines that open: those with failures first", () => {
  const model = told([
    { host: "https://a" },
    { host: "https://b", ...FAILED, size: 7 },
    { host: "https://a" },
  ]);
  const rows = order(model, everything(), 0);
  const { lines, groups } = grouped(model, rows, "host", new Set(["https://a"]));
  expect(groups.map(({ key, failed, bytes, rows: many }) => [key, failed, bytes, many.length])).toEqual([
    ["https://b", 1, 7, 1],
    ["https://a", 0, 20, 2],
  ]);
  expect([...lines]).toEqual([GROUP, GROUP + 1, 0, 2]);
  expect([...lines].map(isGroup)).toEqual([true, true, false, false]);
});

test("pages of a chain, and looks at a job, are groups as well", () => {
  const model = told([{ chain: 1, page: 1 }, { looks: 3 }, { chain: 1, page: 2 }]);
  const keys = (by: never) =>
    grouped(model, order(model, everything(), 0), by, new Set()).groups.map(({ key }) => key);
  expect(keys("page" as never)).toEqual(["pages of request 0", "request 1"]);
  expect(keys("looks" as never)).toEqual(["not looked at again", "3 looks"]);
});

test("a job that is looked at waits, and was not retried", () => {
  const model = told([
    { state: ROW.waiting, looks: 2, tries: 2 },
    { state: ROW.waiting, tries: 2 },
    { looks: 3, tries: 2 },
  ]);
  expect([0, 1].map((row) => statusText(model, row))).toEqual(["waiting", "retry"]);
  expect([...order(model, query({ chip: "retried" }), 0)]).toEqual([1]);
  expect(model.counts.retried).toBe(0);
});

test("figures of what is shown are by nearest rank", () => {
  const model = told([10, 30, 20, 40].map((elapsed) => ({ elapsed })));
  expect(figuresOf(model, [0, 1, 2, 3]).shares).toEqual([20, 40]);
});

test("rows are saved as CSV in which nothing is a formula", () => {
  const [head, first] = csvOf(told([FAILED]), [0]).split("\r\n");
  expect(head).toBe("position,method,url,status,error,error_detail,attempts,size_bytes,elapsed_ms");
  expect(first).toBe(`0,,https://a.example/0,404,http 404,"'=cmd|""/C calc""!A0",1,10,5`);
});

test("a short run is shown low, a long one or one of unknown length whole", () => {
  const progress = (total: number | null) => ({ progress: { ...NOTHING.progress, total } });
  expect(isShort(told([{}], progress(8)))).toBe(true);
  expect(isShort(told([{}], progress(9)))).toBe(false);
  expect(isShort(told([{}], { ...progress(null), state: "RUNNING" }))).toBe(false);
});
