// Which rows are shown and in which order: a pure function of the model and what the reader asked for.

import { ranked } from "./figures";
import type { RunModel } from "./model";
import { ROW } from "./protocol";

export type SortKey =
  | "position"
  | "status"
  | "method"
  | "url"
  | "size"
  | "elapsed"
  | "tries"
  | "start"
  /** Failed ones first. */
  | "trouble";

/** What a chip lets through; a number is the word of an error. */
export type Chip = "all" | "ok" | "failed" | "active" | "retried" | "cached" | "cut" | "unsent" | number;

export type Grouping = "none" | "host" | "error" | "page" | "looks";

export interface Query {
  text: string;
  chip: Chip;
  group: Grouping;
  /** Milliseconds since the run began: only rows that were on their way then. */
  window: [from: number, to: number] | null;
  sort: SortKey;
  descending: boolean;
}

export function everything(): Query {
  return { text: "", chip: "all", group: "none", window: null, sort: "position", descending: false };
}

export function filtered(query: Query): boolean {
  return query.text !== "" || query.chip !== "all" || query.window !== null;
}

/** Positions of the rows that match, in the order asked for; equal ones by position. */
export function order(model: RunModel, query: Query, now: number): Uint32Array {
  const matches = new Uint32Array(model.known);
  const text = query.text.trim().toLowerCase();
  let n = 0;
  for (let row = 0; row < model.known; row++) {
    if (model.state(row) === ROW.unknown) continue;
    if (query.chip !== "all" && !passes(model, row, query.chip)) continue;
    if (text && !contains(model, row, text)) continue;
    if (query.window && !overlaps(model, row, query.window, now)) continue;
    matches[n++] = row;
  }
  const shown = matches.subarray(0, n);
  if (query.sort === "position") return query.descending ? shown.reverse() : shown;
  return sorted(model, shown, query);
}

function contains(model: RunModel, row: number, text: string): boolean {
  if (model.searched(row).includes(text)) return true;
  return model.word("error", row).toLowerCase().includes(text) || `${model.status(row) || ""}` === text;
}

function overlaps(model: RunModel, row: number, [from, to]: [number, number], now: number): boolean {
  const [start, end] = model.span(row, now);
  return start <= to && end >= from;
}

function passes(model: RunModel, row: number, chip: Chip): boolean {
  const state = model.state(row);
  switch (chip) {
    case "all":
      return true;
    case "ok":
      return state === ROW.ok;
    case "failed":
      return state === ROW.failed && !model.givenUp(row);
    case "cut":
    case "unsent":
      return model.givenUp(row) === chip;
    case "active":
      return state === ROW.inFlight || state === ROW.waiting;
    case "retried":
      return model.retried(row);
    case "cached":
      return model.word("cached", row) !== "";
    default:
      return state === ROW.failed && model.rows.error[row] === chip && !model.givenUp(row);
  }
}

/** Equal ones by position, those without a value last, in both directions. */
function sorted(model: RunModel, rows: Uint32Array, query: Query): Uint32Array {
  const sign = query.descending ? -1 : 1;
  const keys = Array.from(rows, (row) => keyOf(model, row, query.sort));
  const places = rows
    .map((_, i) => i)
    .sort((a, b) => {
      const [left, right] = [keys[a] ?? Number.NaN, keys[b] ?? Number.NaN];
      if (left === right) return a - b;
      return left < right
        ? -sign
        : left > right
          ? sign
          : Number(Number.isNaN(left)) - Number(Number.isNaN(right)) || a - b;
    });
  return places.map((place) => rows[place] ?? 0);
}

function keyOf(model: RunModel, row: number, key: SortKey): number | string {
  switch (key) {
    case "url":
      return model.url(row);
    case "method":
      return model.word("method", row);
    case "status":
      return model.status(row) || (model.state(row) === ROW.failed ? 1000 : Number.NaN);
    case "tries":
      return model.rows.tries[row] || Number.NaN;
    case "start":
      return model.span(row, 0)[0];
    case "position":
      return row;
    case "trouble":
      return model.state(row) !== ROW.failed
        ? 2
        : model.givenUp(row) === null
          ? 0
          : model.givenUp(row) === "cut"
            ? 1
            : 2;
    default:
      return model.number(key, row);
  }
}

/** Set in a line of the table that is no row: the rest is the place of its group. */
export const GROUP = 0x8000_0000;

export function isGroup(line: number): boolean {
  return line >= GROUP;
}

/** Rows that have something in common, and what they come to. */
export interface Group {
  key: string;
  rows: Uint32Array;
  open: boolean;
  failed: number;
  bytes: number;
  /** Median of the elapsed times, milliseconds; NaN where there is none. */
  p50: number;
}

/** Puts rows under lines that open: those with most failures first, then the largest. */
export function grouped(
  model: RunModel,
  rows: Uint32Array,
  by: Grouping,
  open: ReadonlySet<string>,
): { lines: Uint32Array; groups: Group[] } {
  const members = new Map<string, number[]>();
  for (const row of rows) {
    const key = groupKey(model, row, by);
    const group = members.get(key);
    if (group) group.push(row);
    else members.set(key, [row]);
  }
  const groups = [...members].map(([key, groupRows]): Group => {
    const { failed, bytes, shares } = figuresOf(model, groupRows);
    return {
      key,
      rows: Uint32Array.from(groupRows),
      open: open.has(key),
      failed,
      bytes,
      p50: shares[0] ?? Number.NaN,
    };
  });
  groups.sort((a, b) => b.failed - a.failed || b.rows.length - a.rows.length);
  const lines: number[] = [];
  groups.forEach((group, i) => {
    lines.push(GROUP + i);
    if (group.open) for (const row of group.rows) lines.push(row);
  });
  return { lines: Uint32Array.from(lines), groups };
}

function groupKey(model: RunModel, row: number, by: Grouping): string {
  const chain = model.rows.chain[row];
  const looks = model.rows.looks[row];
  switch (by) {
    case "host":
      return model.word("host", row) || "no host";
    case "error":
      return model.word("error", row) || (model.state(row) === ROW.ok ? "ok" : "under way");
    case "page":
      return chain ? `pages of request ${chain - 1}` : `request ${row}`;
    case "looks":
      return looks ? `${looks} ${looks === 1 ? "look" : "looks"}` : "not looked at again";
    default:
      return "";
  }
}

/** What some rows come to: failures, bytes, and the median and 95th percentile of their times. */
export function figuresOf(
  model: RunModel,
  rows: Iterable<number>,
): { failed: number; bytes: number; shares: number[] } {
  let [failed, bytes] = [0, 0];
  const times: number[] = [];
  for (const row of rows) {
    if (model.state(row) === ROW.failed && !model.givenUp(row)) failed++;
    bytes += model.number("size", row) || 0;
    const elapsed = model.number("elapsed", row);
    if (elapsed >= 0) times.push(elapsed);
  }
  return { failed, bytes, shares: ranked(times, [0.5, 0.95]) };
}
