// One view of a run: puts the parts together and draws them, at most thirty times a second and only while seen.

import type { RunModel } from "../data/model";
import {
  everything,
  filtered,
  GROUP,
  type Group,
  grouped,
  isGroup,
  order,
  type Query,
  type SortKey,
} from "../data/order";
import type { Connection, Store } from "../data/store";
import { Chart } from "../draw/chart";
import { Lane, type Mode } from "../draw/lane";
import type { Domain } from "../draw/layout";
import { lookOf, onTheme, readTheme, type Theme } from "../draw/theme";
import { Controls, failures, isShort } from "./controls";
import { DetailsPane } from "./details";
import { attribute, h } from "./dom";
import { Filters } from "./filters";
import { Footer } from "./footer";
import { oneLine } from "./format";
import { listen } from "./gestures";
import { RowTable } from "./table";
import { rowFigures, Tip } from "./tip";

const FRAME_MS = 33;
const SLOW_MS = 250;
const MANY = 20_000;
const PHASES: readonly [name: string, hint?: string][] = [
  ["queued", "waited for slot and rate"],
  ["dns"],
  ["connect"],
  ["tls"],
  ["other", "sending, redirects, and what the backend cannot see"],
  ["wait", "request sent to first byte"],
  ["receive", "first to last byte"],
  ["retry wait", "waiting to try, or look, again"],
  ["in flight"],
  ["failed"],
];
const LARGE_FIRST: readonly SortKey[] = ["elapsed", "size", "tries"];

export class View {
  #query: Query = everything();
  #rows: Uint32Array = new Uint32Array(0);
  /** Rows and lines of groups, as the table shows them. */
  #lines: Uint32Array = this.#rows;
  #groups: readonly Group[] = [];
  readonly #openGroups = new Set<string>();
  #shut = false;
  /** Chart and filters of a short run are asked for. */
  #more = false;
  #ended = false;
  #selected: number | null = null;
  #follow = true;
  /** Null until the element stands in the page, and after the page's theme changed. */
  #theme: Theme | null = null;
  #model: RunModel;
  #dirty = true;
  #seen = false;
  #request = 0;
  #drawnVersion = -1;
  #drawnConnection: Connection = "new";
  #drawnAt = -1e9;
  #orderedAt = -1e9;
  #slowAt = -1e9;
  #footAt = -1e9;
  #footed: Uint32Array | null = null;
  readonly #endings: (() => void)[] = [];
  readonly #controls: Controls;
  readonly #chart: Chart;
  readonly #filters: Filters;
  readonly #table: RowTable;
  readonly #lane: Lane;
  readonly #details: DetailsPane;
  readonly #footer: Footer;
  readonly #root = h("section", { class: "fastreq", tabindex: -1 });
  readonly #tip = new Tip(this.#root);

  readonly #store: Store;
  readonly #style: (element: HTMLElement) => void;
  #styled = false;

  /**
   * @param styled Is called with the element once it stands in the page.
   */
  constructor(store: Store, host: HTMLElement, styled: (element: HTMLElement) => void = () => {}) {
    this.#store = store;
    this.#style = styled;
    this.#model = store.run;
    this.#controls = new Controls(store, {
      fold: () => this.#reshape(() => (this.#shut = !this.#shut)),
      more: () => this.#reshape(() => (this.#more = !this.#more)),
    });
    this.#footer = new Footer(store);
    this.#chart = new Chart({
      choose: (window) => this.#choose(window),
      tip: (lines, event) => this.#tip.show(lines, event),
    });
    this.#filters = new Filters({
      query: (change) => this.#ask(change),
      zoom: (factor) => this.#lane.zoom(factor),
      mode: (mode) => this.#setMode(mode),
      follow: (on) => this.#setFollow(on),
    });
    this.#table = new RowTable({
      sort: (key) => this.#sort(key),
      select: (row) => this.#select(row),
      open: (row) => this.#open(row),
      moved: (byHand) => this.#scrolled(byHand),
    });
    this.#lane = new Lane(this.#table, () => this.#touch());
    this.#details = new DetailsPane(store, {
      closed: () => this.#table.focus(),
      step: (by) => this.#step(by),
    });
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
    const main = h("div", { class: "fr-main" }, this.#table.element, this.#details.element);
    const legend = h("footer", { class: "fr-legend" });
    for (const [name, hint] of PHASES) {
      legend.append(
        h("span", { title: hint ?? false }, h("i", { class: `fr-bg-${name.split(" ")[0]}` }), name),
      );
    }
    const { chips, element: filters } = this.#filters;
    this.#root.prepend(
      this.#controls.element,
      this.#chart.element,
      chips,
      filters,
      main,
      this.#footer.element,
      legend,
    );
  }

  #watch(): void {
    const sizes = new ResizeObserver(() => this.#touch());
    sizes.observe(this.#root);
    sizes.observe(this.#table.element);
    // Drawn a little before it comes into view; out of sight nothing is.
    const sight = new IntersectionObserver(
      (entries) => {
        this.#seen = entries.some((entry) => entry.isIntersecting);
        if (this.#seen) this.#touch();
      },
      { rootMargin: "300px" },
    );
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
    listen(this.#root, this.#table, this.#lane, {
      fit: () => this.#choose(null),
      choose: () => this.#choose(this.#lane.scale().domain),
      hover: (row, event) => this.#tip.show(row === null ? null : rowFigures(this.#model, row), event),
      search: () => this.#filters.focus(),
      close: () => this.#details.close(),
      step: (by) => this.#step(by),
    });
  }

  /** Has everything drawn again, after something was done to it. */
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
    if (!this.#styled && this.#root.isConnected) {
      this.#styled = true;
      this.#style(this.#root);
    }
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
    if (this.#model.finished && !this.#ended) this.#end();
    const changed = this.#model.version !== this.#drawnVersion;
    // Sorting and filtering many rows takes its time: not with every message.
    const due = !this.#sifted() || now - this.#orderedAt > SLOW_MS;
    if (this.#dirty || (changed && due)) {
      this.#reorder(now);
      this.#drawnVersion = this.#model.version;
    }
    this.#drawTable(now);
    this.#details.resized();
    const turned = this.#store.connection !== this.#drawnConnection;
    if (this.#dirty || turned || now - this.#slowAt > SLOW_MS || this.#model.finished) this.#drawSlow(now);
    this.#dirty = false;
  }

  /** What needs no more than four pictures a second: numbers and chart. */
  #drawSlow(now: number): void {
    this.#slowAt = now;
    this.#drawnConnection = this.#store.connection;
    const short = isShort(this.#model);
    attribute(this.#root, "data-form", this.#shut ? "shut" : short && !this.#more ? "low" : "whole");
    this.#controls.draw(now, this.#shut, short ? !this.#more : null);
    this.#filters.draw(this.#model, this.#query, this.#follow, this.#lane);
    this.#drawFooter(now);
    const shown = this.#lane.mode === "align" ? null : this.#lane.scale().domain;
    this.#chart.draw(this.#model, Math.max(this.#model.clock(now), 1), shown, this.#colours());
    attribute(this.#root, "aria-label", `fastreq run ${oneLine(this.#model.head.name)}`.trim());
    this.#holdFocus();
  }

  /** What is shown is added up: of many rows more seldom. */
  #drawFooter(now: number): void {
    if (
      now - this.#footAt < (this.#rows.length > MANY && !this.#model.finished ? 8 : 1) * SLOW_MS &&
      !this.#dirty
    )
      return;
    if (this.#footed === this.#rows && this.#model.finished) return;
    this.#footAt = now;
    this.#footed = this.#rows;
    this.#footer.draw(this.#model, this.#rows, this.#query);
  }

  /** A control that goes while it has the focus leaves it to the table, or the next key would be the notebook's. */
  #holdFocus(): void {
    const held = this.#root.querySelector<HTMLElement>(":focus");
    if (held && (held.matches(":disabled") || !held.offsetParent)) this.#table.focus();
  }

  #drawTable(now: number): void {
    this.#table.draw(this.#model);
    if (this.#follow && !this.#model.finished && !this.#sifted() && this.#table.toEnd())
      this.#table.draw(this.#model);
    this.#lane.draw(this.#model, this.#lines, this.#model.clock(now), this.#colours());
  }

  #colours(): Theme {
    if (!this.#theme) {
      attribute(this.#root, "data-theme", lookOf(this.#root));
      this.#theme = readTheme(this.#root);
    }
    return this.#theme;
  }

  /** Rows are not simply all of them in the order of the requests. */
  #sifted(): boolean {
    const { sort, group } = this.#query;
    return filtered(this.#query) || sort !== "position" || group !== "none";
  }

  #reorder(now: number): void {
    this.#orderedAt = now;
    this.#rows = order(this.#model, this.#query, this.#model.clock(now));
    const { group } = this.#query;
    const put = group === "none" ? null : grouped(this.#model, this.#rows, group, this.#openGroups);
    this.#lines = put?.lines ?? this.#rows;
    this.#groups = put?.groups ?? [];
    this.#table.setOrder(this.#lines, this.#query.sort, this.#query.descending, this.#groups);
    this.#table.setSelected(this.#selected);
  }

  #newRun(): void {
    this.#model = this.#store.run;
    this.#query = { ...everything(), text: this.#query.text };
    this.#openGroups.clear();
    this.#ended = false;
    this.#lane.window = null;
    this.#selected = null;
    this.#follow = true;
    this.#details.close();
    this.#dirty = true;
  }

  /** A run that ends shows what matters: what failed, or else its beginning; unless somebody looks at something already. */
  #end(): void {
    this.#ended = true;
    if (!this.#follow || this.#sifted()) return;
    this.#query.sort = failures(this.#model) ? "trouble" : "position";
    this.#follow = false;
    this.#table.toStart();
    this.#dirty = true;
  }

  #reshape(change: () => void): void {
    change();
    this.#touch();
  }

  /** Goes to the row before or behind the chosen one. */
  #step(by: number): void {
    if (this.#selected === null || !this.#details.open) return;
    const row = this.#table.beside(this.#selected, by);
    if (row === null) return;
    this.#table.reveal(row);
    this.#select(row);
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
    if (this.#details.open && !isGroup(row)) void this.#details.show(row);
    this.#touch();
  }

  #open(row: number): void {
    this.#select(row);
    if (isGroup(row)) {
      const key = this.#groups[row - GROUP]?.key ?? "";
      if (!this.#openGroups.delete(key)) this.#openGroups.add(key);
      return;
    }
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
    this.#lane.mode = mode;
    this.#choose(null);
  }

  /** Shows a stretch of time alone, with the rows that were on their way then; null shows all. */
  #choose(window: Domain | null): void {
    this.#lane.window = window;
    if (window) this.#lane.mode = "rows";
    if (window || this.#query.window) this.#ask({ window: window ? [window.from, window.to] : null });
    this.#touch();
  }
}
