// One view of a run: puts the parts together and draws them, at most thirty times a second and only while seen.

import { type Mode, TimeAxis } from "./axis";
import { Chart } from "./chart";
import { Controls } from "./controls";
import { DetailsPane } from "./details";
import { attribute, h, on, surface } from "./dom";
import { Filters } from "./filters";
import { ms, oneLine } from "./format";
import { aligned, type Domain, type Scale, toTime } from "./layout";
import type { RunModel } from "./model";
import { everything, filtered, order, type Query, type SortKey } from "./order";
import { ROW } from "./protocol";
import type { Connection, Store } from "./store";
import { HEAD_HEIGHT, ROW_HEIGHT, RowTable } from "./table";
import { onTheme, readTheme, type Theme } from "./theme";
import { rowFigures, Tip } from "./tip";
import { type Bar, drawWaterfall } from "./waterfall";

const FRAME_MS = 33;
const SLOW_MS = 250;
const PHASES: readonly [name: string, hint: string][] = [
  ["queued", "waited for slot and rate"],
  ["dns", "name resolution"],
  ["connect", "TCP connection"],
  ["tls", "TLS handshake"],
  ["other", "sending, redirects, and what the backend cannot see"],
  ["wait", "request sent to first byte"],
  ["receive", "first to last byte"],
  ["retry wait", "waiting to try again"],
];
const LARGE_FIRST: readonly SortKey[] = ["elapsed", "size", "tries"];

export class View {
  #query: Query = everything();
  #rows: Uint32Array = new Uint32Array(0);
  #selected: number | null = null;
  #follow = true;
  /** Null until the element stands in the page, and after the page's theme changed. */
  #theme: Theme | null = null;
  #model: RunModel;
  #dirty = true;
  #seen = true;
  #request = 0;
  #drawnVersion = -1;
  #drawnConnection: Connection = "new";
  #drawnAt = Number.NEGATIVE_INFINITY;
  #orderedAt = Number.NEGATIVE_INFINITY;
  #slowAt = Number.NEGATIVE_INFINITY;
  readonly #axis = new TimeAxis();
  readonly #endings: (() => void)[] = [];
  readonly #controls: Controls;
  readonly #chart: Chart;
  readonly #filters: Filters;
  readonly #table: RowTable;
  readonly #details: DetailsPane;
  readonly #root = h("section", { class: "fastreq", "data-lm-suppress-shortcuts": "true" });
  readonly #canvas = h("canvas", { class: "fr-bars", "aria-hidden": "true" });
  readonly #tip = new Tip(this.#root);

  readonly #store: Store;

  constructor(store: Store, host: HTMLElement) {
    this.#store = store;
    this.#model = store.run;
    this.#controls = new Controls(store);
    this.#chart = new Chart({
      choose: (window) => this.#choose(window),
      tip: (lines, event) => this.#tip.show(lines, event),
    });
    this.#filters = new Filters({
      query: (change) => this.#ask(change),
      zoom: (factor) => this.#zoom(factor),
      mode: (mode) => this.#setMode(mode),
      follow: (on) => this.#setFollow(on),
    });
    this.#table = new RowTable({
      sort: (key) => this.#sort(key),
      select: (row) => this.#select(row),
      open: (row) => this.#open(row),
      moved: (byHand) => this.#scrolled(byHand),
    });
    this.#details = new DetailsPane(store, () => this.#table.table.focus());
    this.#assemble();
    host.append(this.#root);
    this.#watch();
    this.#schedule();
  }

  dispose(): void {
    cancelAnimationFrame(this.#request);
    for (const end of this.#endings) end();
    this.#root.remove();
  }

  #assemble(): void {
    this.#table.frame.append(this.#canvas);
    const main = h("div", { class: "fr-main" }, this.#table.element, this.#details.element);
    const legend = h("footer", { class: "fr-legend" });
    for (const [name, hint] of PHASES) {
      legend.append(h("span", { title: hint }, h("i", { class: `fr-bg-${name.split(" ")[0]}` }), name));
    }
    this.#root.prepend(this.#controls.element, this.#chart.element, this.#filters.element, main, legend);
  }

  #watch(): void {
    const sizes = new ResizeObserver(() => this.#touch());
    sizes.observe(this.#root);
    sizes.observe(this.#table.element);
    const sight = new IntersectionObserver((entries) => {
      this.#seen = entries.some((entry) => entry.isIntersecting);
      if (this.#seen) this.#touch();
    });
    sight.observe(this.#root);
    this.#endings.push(
      this.#store.subscribe(() => this.#schedule()),
      onTheme(() => {
        this.#theme = null;
        this.#touch();
      }),
      () => sizes.disconnect(),
      () => sight.disconnect(),
    );
    const area = this.#table.element;
    on(area, "wheel", (event) => this.#wheel(event));
    on(area, "pointermove", (event) => this.#hover(event));
    on(area, "pointerdown", (event) => this.#drag(event));
    on(area, "pointerleave", (event) => this.#tip.show(null, event));
    on(area, "dblclick", (event) => this.#laneX(event) !== null && this.#choose(null));
    on(this.#root, "keydown", (event) => this.#key(event));
  }

  #touch(): void {
    this.#dirty = true;
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#request) this.#request = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now: number): void {
    this.#request = 0;
    const { run, connection } = this.#store;
    const moving = !run.finished && connection === "live";
    if (!this.#root.isConnected || !this.#seen || !(moving || this.#stale())) return;
    if (this.#dirty || now - this.#drawnAt >= FRAME_MS) this.#draw(now);
    if (moving || this.#stale()) this.#schedule();
  }

  /** Something happened that is not drawn yet. */
  #stale(): boolean {
    const { run, connection } = this.#store;
    const drawn =
      run === this.#model && run.version === this.#drawnVersion && connection === this.#drawnConnection;
    return this.#dirty || !drawn;
  }

  #draw(now: number): void {
    this.#drawnAt = now;
    if (this.#store.run !== this.#model) this.#newRun();
    const changed = this.#model.version !== this.#drawnVersion;
    // Sorting and filtering many rows takes its time: not with every message.
    const due = !this.#sifted() || now - this.#orderedAt > SLOW_MS;
    if (this.#dirty || (changed && due)) {
      this.#reorder(now);
      this.#drawnVersion = this.#model.version;
    }
    this.#drawTable(now);
    const turned = this.#store.connection !== this.#drawnConnection;
    if (this.#dirty || turned || now - this.#slowAt > SLOW_MS || this.#model.finished) this.#drawSlow(now);
    this.#dirty = false;
  }

  /** What needs no more than four pictures a second: numbers and chart. */
  #drawSlow(now: number): void {
    this.#slowAt = now;
    this.#drawnConnection = this.#store.connection;
    this.#controls.draw(now);
    this.#filters.draw(this.#model, this.#query, this.#rows.length, this.#follow, this.#axis);
    const shown = this.#axis.mode === "align" ? null : this.#scale(now).domain;
    this.#chart.draw(this.#model, this.#length(now), shown, this.#colours());
    attribute(this.#root, "aria-label", `fastreq run ${oneLine(this.#model.head.name)}`.trim());
  }

  #drawTable(now: number): void {
    this.#table.draw(this.#model);
    if (this.#follow && !this.#model.finished && !this.#sifted() && this.#table.toEnd())
      this.#table.draw(this.#model);
    const { left, width } = this.#table.lane();
    const height = this.#table.element.clientHeight;
    Object.assign(this.#canvas.style, { left: `${left}px`, width: `${width}px`, height: `${height}px` });
    const ink = surface(this.#canvas, width, height);
    if (!ink || width < 10) return;
    const bars = this.#bars(now);
    drawWaterfall(
      ink,
      { scale: this.#scale(now), height, headHeight: HEAD_HEIGHT, rowHeight: ROW_HEIGHT, bars },
      this.#colours(),
    );
  }

  #colours(): Theme {
    this.#theme ??= readTheme(this.#root);
    return this.#theme;
  }

  #bars(now: number): Bar[] {
    const { first, last } = this.#table.slice;
    const clock = this.#model.clock(now);
    const bars: Bar[] = [];
    for (let at = first; at < last; at++) {
      const row = this.#rows[at] ?? 0;
      const attempts = this.#model.attempts(row);
      const begin = this.#axis.mode === "align" ? this.#model.span(row, clock)[0] : 0;
      bars.push({
        y: HEAD_HEIGHT + this.#table.offset() + (at - first) * ROW_HEIGHT,
        attempts: this.#axis.mode === "align" ? aligned(attempts) : attempts,
        label: this.#model.state(row) >= ROW.ok ? ms(this.#model.number("elapsed", row)) : "",
        now: clock - begin,
      });
    }
    return bars;
  }

  /** Rows are not simply all of them in the order of the requests. */
  #sifted(): boolean {
    return filtered(this.#query) || this.#query.sort !== "position";
  }

  #reorder(now: number): void {
    this.#orderedAt = now;
    this.#rows = order(this.#model, this.#query, this.#model.clock(now));
    this.#table.setOrder(this.#rows, this.#query.sort, this.#query.descending);
    this.#table.setSelected(this.#selected);
  }

  #newRun(): void {
    this.#model = this.#store.run;
    this.#query = { ...this.#query, host: 0, window: null };
    this.#axis.window = null;
    this.#selected = null;
    this.#follow = true;
    this.#details.close();
    this.#dirty = true;
  }

  /** Milliseconds since the run began, or its length. */
  #length(now: number): number {
    return Math.max(this.#model.clock(now), 1);
  }

  #scale(now: number): Scale {
    return this.#axis.scale(this.#fitted(now), this.#table.lane().width);
  }

  /** What the mode wants to be seen. */
  #fitted(now: number): Domain {
    const clock = this.#length(now);
    const { mode } = this.#axis;
    let [from, to, longest] = [clock, 0, 1];
    const { first, last } = this.#table.slice;
    for (let at = first; at < last && mode !== "run"; at++) {
      const [begin, end] = this.#model.span(this.#rows[at] ?? 0, clock);
      if (Number.isNaN(begin)) continue;
      from = Math.min(from, begin);
      to = Math.max(to, end);
      longest = Math.max(longest, end - begin);
    }
    if (mode === "align") return { from: 0, to: longest };
    return mode === "run" || to <= from ? { from: 0, to: clock } : { from, to };
  }

  #ask(change: Partial<Query>): void {
    this.#query = { ...this.#query, ...change };
    this.#follow = false;
    this.#table.toStart();
    this.#touch();
  }

  #sort(key: SortKey): void {
    const again = key === this.#query.sort;
    this.#ask({ sort: key, descending: again ? !this.#query.descending : LARGE_FIRST.includes(key) });
  }

  #select(row: number): void {
    this.#selected = row;
    this.#follow = false;
    this.#table.setSelected(row);
    if (this.#details.open) void this.#details.show(row);
    this.#touch();
  }

  #open(row: number): void {
    this.#select(row);
    void this.#details.show(row);
  }

  #scrolled(byHand: boolean): void {
    if (byHand && !this.#table.atEnd) this.#follow = false;
    this.#touch();
  }

  #setFollow(on: boolean): void {
    this.#follow = on;
    if (on) this.#query = everything();
    this.#touch();
  }

  #setMode(mode: Mode): void {
    this.#axis.mode = mode;
    this.#choose(null);
  }

  /** Shows a stretch of time alone, with the rows that were on their way then; null shows all. */
  #choose(window: Domain | null): void {
    this.#axis.window = window;
    if (window) this.#axis.mode = "rows";
    if (window || this.#query.window) this.#ask({ window: window ? [window.from, window.to] : null });
    this.#touch();
  }

  #zoom(factor: number, around?: number): void {
    const now = performance.now();
    this.#axis.zoom(this.#scale(now), factor, this.#length(now), around);
    this.#touch();
  }

  #pan(share: number): void {
    const now = performance.now();
    this.#axis.pan(this.#scale(now), share, this.#length(now));
    this.#touch();
  }

  #key(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    event.stopPropagation();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions: Record<string, () => void> = {
      "+": () => this.#zoom(2),
      "=": () => this.#zoom(2),
      "-": () => this.#zoom(0.5),
      "0": () => this.#choose(null),
      ArrowLeft: () => this.#pan(-0.2),
      ArrowRight: () => this.#pan(0.2),
      "/": () => this.#filters.focus(),
      Escape: () => this.#details.close(),
    };
    const action = actions[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  }

  #wheel(event: WheelEvent): void {
    const x = this.#laneX(event);
    if (x === null || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this.#zoom(event.deltaY < 0 ? 1.25 : 0.8, toTime(this.#scale(performance.now()), x));
  }

  /** Dragging on the bars moves the stretch of time that is shown. */
  #drag(event: PointerEvent): void {
    if (this.#laneX(event) === null || event.button !== 0 || event.offsetY < HEAD_HEIGHT) return;
    const began = this.#scale(performance.now()).domain;
    const move = (step: PointerEvent): void => {
      const pixels = step.clientX - event.clientX;
      // A click is not a drag.
      if (Math.abs(pixels) < 3 && !this.#axis.window) return;
      this.#axis.dragTo(began, pixels, this.#table.lane().width, this.#length(performance.now()));
      this.#touch();
    };
    const end = new AbortController();
    globalThis.addEventListener("pointermove", move, { signal: end.signal });
    globalThis.addEventListener("pointerup", () => end.abort(), { signal: end.signal });
  }

  #hover(event: MouseEvent): void {
    const y = event.clientY - this.#table.frame.getBoundingClientRect().top;
    const row = this.#laneX(event) === null ? null : this.#table.rowAt(y);
    this.#tip.show(row === null ? null : rowFigures(this.#model, row), event);
  }

  /** Pixels from the left edge of the waterfall, or null beside it. */
  #laneX(event: MouseEvent): number | null {
    const { left, width } = this.#table.lane();
    const x = event.clientX - this.#table.frame.getBoundingClientRect().left - left;
    return x >= 0 && x <= width ? x : null;
  }
}
