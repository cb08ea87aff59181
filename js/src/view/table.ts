// The table of requests: a real <table> that holds only the rows in view, whatever their number.
//
// It sticks to the top of a scrolled element as tall as all rows would be, and its rows change instead of moving: the
// waterfall's canvas lies over its last column and is drawn in the same step, so bars and rows never part.

import type { RunModel } from "../data/model";
import { GROUP, type Group, isGroup, type SortKey } from "../data/order";
import { ROW } from "../data/protocol";
import { type Slice, scrollTo, visibleRows } from "../draw/layout";
import { attribute, button, h, on, onClick, say, uniqueId } from "./dom";
import { bytes, count, ms, oneLine, shortUrl } from "./format";

export const ROW_HEIGHT = 24;
export const HEAD_HEIGHT = 28;
const LEAST_ROWS = 4;

const COLUMNS: readonly [key: SortKey, title: string, meaning: string][] = [
  ["position", "#", "position"],
  ["status", "Status", "status"],
  ["method", "Method", "method"],
  ["url", "URL", "URL"],
  ["tries", "Tries", "attempts"],
  ["size", "Size", "size"],
  ["elapsed", "Time", "elapsed time"],
  ["start", "", "start"],
];

export interface TableActions {
  sort(key: SortKey): void;
  select(row: number): void;
  open(row: number): void;
  /** The reader moved the rows. */
  moved(byHand: boolean): void;
}

interface Line {
  row: number;
  element: HTMLTableRowElement;
  cells: HTMLTableCellElement[];
}

/** By the number that travels. */
const STATES = ["unknown", "flight", "waiting", "good", "bad"];

export class RowTable {
  readonly element = h("div", { class: "fr-scroll" });
  readonly frame = h("div", { class: "fr-frame" });
  readonly table = h("table", { role: "grid", tabindex: 0, "aria-label": "Requests" });
  /** Upper edge of the first row in view, and the rows in view, after `draw`. */
  slice: Slice = { first: 0, last: 0, top: 0, height: 0 };
  readonly #head: HTMLTableCellElement[];
  readonly #body = h("tbody");
  readonly #sizer = h("div", { class: "fr-sizer" });
  readonly #lines: Line[] = [];
  readonly #id = uniqueId("fr-table");
  /** Rows and lines of groups, from top to bottom. */
  #order: Uint32Array = new Uint32Array(0);
  #groups: readonly Group[] = [];
  #selected: number | null = null;
  #viewport = 0;
  #settingScroll = false;

  readonly #actions: TableActions;

  constructor(actions: TableActions) {
    this.#actions = actions;
    this.#head = COLUMNS.map(([key, title, meaning]) => {
      const sort = button("sort", title, `Sort by ${meaning}`, () => actions.sort(key));
      return h("th", { scope: "col", class: `fr-c-${key}` }, sort);
    });
    this.table.append(h("thead", {}, h("tr", { "aria-rowindex": 1 }, ...this.#head)), this.#body);
    this.frame.append(this.table);
    this.#sizer.append(this.frame);
    this.element.append(this.#sizer);
    on(this.element, "scroll", () => {
      this.#actions.moved(!this.#settingScroll);
      this.#settingScroll = false;
    });
    on(this.table, "keydown", (event) => this.#key(event));
    onClick(this.#body, (event) => this.#click(event));
  }

  /** Left edge and width of the waterfall's column, in the frame. */
  lane(): { left: number; width: number } {
    const cell = this.#head[this.#head.length - 1];
    return cell ? { left: cell.offsetLeft, width: cell.offsetWidth } : { left: 0, width: 0 };
  }

  /** The row under a point of the frame, or null. */
  rowAt(y: number): number | null {
    if (y < HEAD_HEIGHT) return null;
    const row = this.#order[this.slice.first + Math.floor((y - HEAD_HEIGHT - this.offset()) / ROW_HEIGHT)];
    return row === undefined || isGroup(row) ? null : row;
  }

  /** The row so many lines from another one, or null at the ends. */
  beside(row: number, by: number): number | null {
    for (let at = this.#order.indexOf(row) + by; at >= 0 && at < this.#order.length; at += by) {
      const candidate = this.#order[at] ?? GROUP;
      if (!isGroup(candidate)) return candidate;
    }
    return null;
  }

  /** Brings a row into view. */
  reveal(row: number): void {
    const at = this.#order.indexOf(row);
    if (at >= 0) this.#scroll(scrollTo(at, ROW_HEIGHT, this.element.scrollTop, this.#viewport));
  }

  /** Pixels from the frame's top to the first row in view. */
  offset(): number {
    return this.slice.top - this.element.scrollTop;
  }

  setOrder(order: Uint32Array, sort: SortKey, descending: boolean, groups: readonly Group[] = []): void {
    this.#order = order;
    this.#groups = groups;
    attribute(this.table, "aria-rowcount", order.length + 1);
    this.table.style.setProperty(
      "--fr-digits",
      `${count(order.reduce((most, row) => (isGroup(row) ? most : Math.max(most, row)), 0)).length}`,
    );
    this.#head.forEach((cell, i) => {
      const direction = descending ? "descending" : "ascending";
      attribute(cell, "aria-sort", COLUMNS[i]?.[0] === sort ? direction : "none");
    });
  }

  setSelected(row: number | null): void {
    this.#selected = row;
  }

  focus(): void {
    this.table.focus({ preventScroll: true });
  }

  get atEnd(): boolean {
    return this.element.scrollTop + this.element.clientHeight >= this.element.scrollHeight - ROW_HEIGHT;
  }

  /** Brings the last row into view; tells whether that moved anything. */
  toEnd(): boolean {
    const end = this.element.scrollHeight - this.element.clientHeight;
    if (end - this.element.scrollTop <= 1) return false;
    this.#scroll(end);
    return true;
  }

  toStart(): void {
    this.#scroll(0);
  }

  draw(model: RunModel): void {
    const rows = Math.max(this.#order.length, model.known, model.head.progress.total ?? 0, LEAST_ROWS);
    this.element.style.maxHeight = `${HEAD_HEIGHT + Math.min(rows, model.head.row_limit) * ROW_HEIGHT + 1}px`;
    this.#viewport = this.element.clientHeight - HEAD_HEIGHT;
    const height = visibleRows(this.#order.length, ROW_HEIGHT, 0, this.#viewport).height;
    this.#sizer.style.height = `${height + HEAD_HEIGHT}px`;
    this.frame.style.height = `${this.element.clientHeight}px`;
    this.slice = visibleRows(this.#order.length, ROW_HEIGHT, this.element.scrollTop, this.#viewport);
    this.#body.style.transform = `translateY(${this.offset()}px)`;
    const shown = this.slice.last - this.slice.first;
    while (this.#lines.length < shown) this.#addLine();
    this.#lines.forEach((line, i) => {
      const at = this.slice.first + i;
      line.element.hidden = i >= shown;
      if (i < shown) this.#fill(line, at, this.#order[at] ?? 0, model);
    });
    this.#markActive();
  }

  #addLine(): void {
    const cells = COLUMNS.map(([key]) => h("td", { class: `fr-c-${key}` }));
    const element = h("tr", { id: `${this.#id}-${this.#lines.length}` }, ...cells);
    this.#body.append(element);
    this.#lines.push({ row: -1, element, cells });
  }

  #fill(line: Line, at: number, row: number, model: RunModel): void {
    const { element, cells } = line;
    line.row = row;
    attribute(element, "aria-rowindex", at + 2);
    const group = isGroup(row) ? this.#groups[row - GROUP] : undefined;
    attribute(element, "aria-expanded", group ? group.open : null);
    if (group) {
      this.#fillGroup(line, group);
      return;
    }
    attribute(element, "aria-selected", row === this.#selected ? "true" : "false");
    const kind = model.givenUp(row) ?? (model.word("cached", row) ? "cached" : STATES[model.state(row)]);
    attribute(element, "class", `fr-${kind} ${at % 2 ? "fr-odd" : ""}`);
    const url = oneLine(model.url(row));
    const name = oneLine(model.nameOf(row));
    const texts = [
      count(row),
      statusText(model, row),
      oneLine(model.word("method", row)),
      whence(model, row) +
        (name ? `${name}  ` : "") +
        shortUrl(url, model.word("host", row), model.hosts.size > 1),
      `${model.rows.tries[row] || ""}`,
      bytes(model.number("size", row)),
      ms(model.number("elapsed", row)),
      "",
    ];
    cells.forEach((cell, i) => {
      say(cell, texts[i] ?? "");
    });
    const cause = oneLine(model.cause(row));
    const titles = [null, cause || null, null, url, null, null, null, null];
    cells.forEach((cell, i) => {
      attribute(cell, "title", titles[i] ?? null);
    });
  }

  #fillGroup({ element, cells, row }: Line, group: Group): void {
    attribute(element, "aria-selected", row === this.#selected ? "true" : "false");
    attribute(element, "class", "fr-group");
    const many = group.rows.length;
    const figures = `${count(many)} ${many === 1 ? "request" : "requests"}${group.failed ? `, ${count(group.failed)} failed` : ""}`;
    const title = `${group.open ? "▾" : "▸"} ${oneLine(group.key, 200)}`;
    const texts = ["", "", "", `${title}  ·  ${figures}`, "", bytes(group.bytes), ms(group.p50), ""];
    cells.forEach((cell, i) => {
      say(cell, texts[i] ?? "");
      attribute(cell, "title", i === 6 && texts[i] ? "median" : null);
    });
  }

  #markActive(): void {
    const active = this.#lines.find((line) => line.row === this.#selected && !line.element.hidden);
    attribute(this.table, "aria-activedescendant", active ? active.element.id : null);
  }

  #click(event: MouseEvent): void {
    const target = (event.target as Element).closest("tr");
    const line = this.#lines.find((drawn) => drawn.element === target);
    if (line) this.#actions.open(line.row);
  }

  #key(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.#viewport / ROW_HEIGHT) - 1);
    const at = this.#selected === null ? -1 : this.#order.indexOf(this.#selected);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.#order.length - 1,
    };
    const wanted = steps[event.key];
    if (wanted !== undefined && !event.ctrlKey && !event.altKey) {
      this.#select(Math.min(Math.max(wanted, 0), this.#order.length - 1));
      event.preventDefault();
    } else if (event.key === "Enter" && event.target === this.table && this.#selected !== null) {
      this.#actions.open(this.#selected);
      event.preventDefault();
    }
  }

  #select(at: number): void {
    const row = this.#order[at];
    if (row === undefined) return;
    this.#actions.moved(true);
    this.#actions.select(row);
    this.#scroll(scrollTo(at, ROW_HEIGHT, this.element.scrollTop, this.#viewport));
  }

  #scroll(top: number): void {
    if (top === this.element.scrollTop) return;
    this.#settingScroll = true;
    this.element.scrollTop = top;
  }
}

/** Which page or how often looked at a row is. */
function whence(model: RunModel, row: number): string {
  const [page, looks] = [model.rows.page[row], model.rows.looks[row]];
  return (page ? `page ${page}  ·  ` : "") + (looks ? `${looks} ${looks === 1 ? "look" : "looks"}  ·  ` : "");
}

/** What became of a row: the status, or the kind of failure, or what it is doing. */
export function statusText(model: RunModel, row: number): string {
  const status = model.status(row);
  const error = oneLine(model.word("error", row));
  switch (model.state(row)) {
    case ROW.inFlight:
      return "…";
    case ROW.waiting:
      return model.rows.looks[row] ? "waiting" : "retry";
    case ROW.failed:
      if (model.givenUp(row)) return model.givenUp(row) === "cut" ? "cut off" : "not sent";
      return error === `http ${status}` ? `${status}` : `${status || ""} ${error}`.trim();
    default:
      return `${status || ""} ${model.word("cached", row) && "cached"}`.trim();
  }
}
