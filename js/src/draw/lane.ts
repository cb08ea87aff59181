// The waterfall's column: a canvas over the table, and the stretch of time that it shows.

import type { RunModel } from "../data/model";
import { isGroup } from "../data/order";
import { ROW } from "../data/protocol";
import { attribute, h, surface } from "../view/dom";
import { ms, oneLine } from "../view/format";
import { HEAD_HEIGHT, ROW_HEIGHT, type RowTable } from "../view/table";
import { aligned, type Domain, moved, type Scale, zoomed } from "./layout";
import type { Theme } from "./theme";
import { type Bar, drawWaterfall } from "./waterfall";

/** rows: as much time as the rows in view need. run: the whole run. align: each row from its own beginning. */
export type Mode = "rows" | "run" | "align";

/** Room for the figure behind the last bar. */
const LABEL_PX = 58;
const EARLIER = "answered before this run";

export class Lane {
  mode: Mode = "rows";
  /** A stretch of time chosen by hand; goes before the mode. */
  window: Domain | null = null;
  readonly #canvas = h("canvas", { class: "fr-bars", "aria-hidden": "true" });
  readonly #table: RowTable;
  #model: RunModel | null = null;
  #rows: Uint32Array = new Uint32Array(0);
  /** Now, on the run's clock. */
  #clock = 1;

  readonly #changed: () => void;

  constructor(table: RowTable, changed: () => void) {
    this.#table = table;
    this.#changed = changed;
    table.frame.append(this.#canvas);
  }

  draw(model: RunModel, rows: Uint32Array, clock: number, theme: Theme): void {
    this.#model = model;
    this.#rows = rows;
    this.#clock = Math.max(clock, 1);
    const { left, width } = this.#table.lane();
    const height = this.#table.element.clientHeight;
    Object.assign(this.#canvas.style, { left: `${left}px`, width: `${width}px`, height: `${height}px` });
    const scale = this.scale();
    // The ticks are ink; here their figures can be read.
    attribute(this.#canvas, "data-shown", `${scale.domain.from} ${scale.domain.to}`);
    const ink = surface(this.#canvas, width, height);
    if (!ink || width < 10) return;
    const frame = {
      scale,
      height,
      headHeight: HEAD_HEIGHT,
      rowHeight: ROW_HEIGHT,
      bars: this.#bars(model),
    };
    drawWaterfall(ink, frame, theme);
  }

  /** What is shown, on how many pixels. */
  scale(): Scale {
    const { width } = this.#table.lane();
    const fitted = this.#fitted();
    const to = fitted.from + Math.max(fitted.to - fitted.from, 0.5) * this.#room();
    return { domain: this.window ?? { from: fitted.from, to }, width };
  }

  zoom(factor: number, around?: number): void {
    const { domain } = this.scale();
    const most = this.#most((domain.to - domain.from) / factor);
    this.#show(zoomed(domain, factor, around ?? (domain.from + domain.to) / 2, most));
  }

  /** Moves by a share of the width. */
  pan(share: number): void {
    this.dragTo(this.scale().domain, -share * this.#table.lane().width);
  }

  /** Follows a drag from where the window began. */
  dragTo(began: Domain, pixels: number): void {
    const length = began.to - began.from;
    const by = (-pixels * length) / Math.max(this.#table.lane().width, 1);
    this.#show(moved(began, by, this.#most(length)));
  }

  /** How many times wider than the bars the lane is. */
  #room(): number {
    const width = Math.max(this.#table.lane().width, 1);
    return width / Math.max(width - LABEL_PX, width / 2);
  }

  /** Where a stretch of this length may end at the latest: the last bar's figure is seen as well. */
  #most(length: number): number {
    const room = this.#room();
    return this.#clock + Math.min(length, this.#clock * room) * (1 - 1 / room);
  }

  #show(window: Domain): void {
    this.window = window;
    this.#changed();
  }

  #bars(model: RunModel): Bar[] {
    const { first, last } = this.#table.slice;
    const bars: Bar[] = [];
    for (let at = first; at < last; at++) {
      const row = this.#rows[at] ?? 0;
      if (isGroup(row)) continue;
      const attempts = model.attempts(row);
      const align = this.mode === "align";
      const kept = model.word("cached", row);
      const bare = model.earlier(row) || (kept !== "" && !attempts.length);
      bars.push({
        y: HEAD_HEIGHT + this.#table.offset() + (at - first) * ROW_HEIGHT,
        attempts: align ? aligned(attempts) : attempts,
        bare,
        label: bare
          ? kept
            ? `from the cache: ${oneLine(kept, 20)}`
            : EARLIER
          : model.state(row) < ROW.ok
            ? ""
            : ms(model.number("elapsed", row)),
        now: this.#clock - (align ? model.span(row, this.#clock)[0] : 0),
      });
    }
    return bars;
  }

  /** What the mode wants to be seen. */
  #fitted(): Domain {
    let [from, to, longest] = [this.#clock, 0, 1];
    const { first, last } = this.#table.slice;
    const top = this.#table.offset() + ROW_HEIGHT / 2;
    const height = this.#table.element.clientHeight - HEAD_HEIGHT;
    for (let at = first; at < last && this.#model; at++) {
      // A row of which no more than an edge is seen must not stretch the axis of the others.
      const middle = top + (at - first) * ROW_HEIGHT;
      if (middle < 0 || middle > height) continue;
      const row = this.#rows[at] ?? 0;
      if (isGroup(row)) continue;
      const [begin, end] = this.#model.span(row, this.#clock);
      if (Number.isNaN(begin)) continue;
      from = Math.min(from, begin);
      to = Math.max(to, end);
      longest = Math.max(longest, end - begin);
    }
    if (this.mode === "align") return { from: 0, to: longest };
    return this.mode === "run" || to <= from ? { from: 0, to: this.#clock } : { from, to };
  }
}
