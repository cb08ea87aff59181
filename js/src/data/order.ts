// Which rows are shown and in which order: a pure function of the model and what the reader asked for.

import type { RunModel } from "./model";
import { ROW } from "./protocol";

export type SortKey = "position" | "status" | "method" | "url" | "size" | "elapsed" | "tries" | "start";
export type StatusFilter =
  | "all"
  | "ok"
  | "failed"
  | "active"
  | "retried"
  | "2xx"
  | "3xx"
  | "4xx"
  | "5xx"
  | "none";

export interface Query {
  text: string;
  status: StatusFilter;
  /** Index of the host's word; 0 for all. */
  host: number;
  /** Milliseconds since the run began: only rows that were on their way then. */
  window: [from: number, to: number] | null;
  sort: SortKey;
  descending: boolean;
}

export function everything(): Query {
  return { text: "", status: "all", host: 0, window: null, sort: "position", descending: false };
}

export function filtered(query: Query): boolean {
  return query.text !== "" || query.status !== "all" || query.host !== 0 || query.window !== null;
}

/** Positions of the rows that match, in the order asked for; equal ones by position. */
export function order(model: RunModel, query: Query, now: number): Uint32Array {
  const matches = new Uint32Array(model.known);
  const text = query.text.trim().toLowerCase();
  let n = 0;
  for (let row = 0; row < model.known; row++) {
    if (model.state(row) === ROW.unknown) continue;
    if (query.host && model.rows.host[row] !== query.host) continue;
    if (query.status !== "all" && !hasStatus(model, row, query.status)) continue;
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

function hasStatus(model: RunModel, row: number, wanted: StatusFilter): boolean {
  const state = model.state(row);
  const status = model.status(row);
  switch (wanted) {
    case "all":
      return true;
    case "ok":
      return state === ROW.ok;
    case "failed":
      return state === ROW.failed;
    case "active":
      return state === ROW.inFlight || state === ROW.waiting;
    case "retried":
      return (model.rows.tries[row] ?? 0) > 1 && !model.earlier(row);
    case "none":
      return state === ROW.failed && status === 0;
    default:
      return Math.floor(status / 100) === Number(wanted[0]);
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
    default:
      return model.number(key, row);
  }
}
