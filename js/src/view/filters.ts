// The lines between chart and table: chips that count and filter, and how the time axis lies.

import type { RunModel } from "../data/model";
import type { Chip, Grouping, Query } from "../data/order";
import type { Lane, Mode } from "../draw/lane";
import { attribute, button, h, on, say } from "./dom";
import { count, ms, oneLine } from "./format";

const MODES: readonly [Mode, string, string][] = [
  ["rows", "Fit rows", "Time axis: as much as the rows in view need (0)"],
  ["run", "Whole run", "Time axis: the whole run"],
  ["align", "From zero", "Time axis: all bars begin at the left"],
];
const GROUPS: readonly [Grouping, string][] = [
  ["none", "No groups"],
  ["host", "By host"],
  ["error", "By error"],
  ["page", "By chain of pages"],
  ["looks", "By looks at a job"],
];
/** Kinds of errors with a chip of their own. */
const KINDS = 8;

export interface FilterActions {
  query(change: Partial<Query>): void;
  zoom(factor: number): void;
  mode(mode: Mode): void;
  follow(on: boolean): void;
}

/** A chip as it is to be drawn: what it filters, its shape, its words, how many rows. */
type Shown = readonly [chip: Chip, kind: string, label: string, rows: number];

export class Filters {
  readonly chips = h("div", { class: "fr-chips", role: "group", "aria-label": "Filter by outcome" });
  readonly element = h("div", { class: "fr-filters", role: "group", "aria-label": "Filter and view" });
  readonly #text = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter by text",
    spellcheck: "false",
  });
  readonly #group = h("select", { "aria-label": "Group rows" });
  readonly #window = button("chip", "", "All times (0)", () => this.#actions.query({ window: null }));
  readonly #trouble: HTMLButtonElement;
  readonly #follow: HTMLButtonElement;
  readonly #modes: HTMLButtonElement[];
  readonly #pool: HTMLButtonElement[] = [];
  #drawn: readonly Shown[] = [];

  readonly #actions: FilterActions;

  constructor(actions: FilterActions) {
    this.#actions = actions;
    for (const [value, label] of GROUPS) this.#group.append(h("option", { value }, label));
    this.#follow = toggle("Follow", "Keep the newest in view", (on) => actions.follow(on));
    this.#trouble = toggle("Failed first", "Failed requests above the others", (on) =>
      actions.query({ sort: on ? "trouble" : "position", descending: false }),
    );
    this.#modes = MODES.map(([mode, label, hint]) => button("tool", label, hint, () => actions.mode(mode)));
    on(this.#text, "input", () => actions.query({ text: this.#text.value }));
    on(this.#group, "change", () => actions.query({ group: this.#group.value as Grouping }));
    const zoom = [
      button("tool", "−", "Zoom out (-)", () => actions.zoom(0.5)),
      button("tool", "+", "Zoom in (+)", () => actions.zoom(2)),
    ];
    const modes = h("span", { class: "fr-joined", role: "group", "aria-label": "Time axis" }, ...this.#modes);
    const view = h(
      "span",
      { class: "fr-view" },
      this.#follow,
      modes,
      h("span", { class: "fr-joined" }, ...zoom),
    );
    this.element.append(this.#text, this.#group, this.#trouble, this.#window, view);
  }

  draw(model: RunModel, query: Query, follow: boolean, lane: Lane): void {
    this.#drawChips(model, query.chip);
    if (this.#text.value.trim() !== query.text.trim() && !this.#text.matches(":focus"))
      this.#text.value = query.text;
    attribute(this.#follow, "aria-pressed", follow);
    this.#follow.hidden = model.finished;
    this.#trouble.hidden = !model.counts.failed.size;
    attribute(this.#trouble, "aria-pressed", query.sort === "trouble");
    this.#modes.forEach((element, i) => {
      attribute(element, "aria-pressed", !lane.window && lane.mode === MODES[i]?.[0]);
    });
    this.#window.hidden = query.window === null;
    if (query.window) say(this.#window, `${ms(query.window[0])} – ${ms(query.window[1])} ✕`);
    this.#drawGroups(model, query.group);
  }

  focus(): void {
    this.#text.focus();
  }

  /** Only groupings that would make more than one group are offered. */
  #drawGroups(model: RunModel, group: Grouping): void {
    const { counts, rows, known } = model;
    const several: Record<Grouping, boolean> = {
      none: true,
      host: model.hosts.size > 1,
      error: counts.failed.size > 0,
      page: known < 200_000 && rows.chain.some((chain) => chain > 0),
      looks: known < 200_000 && rows.looks.some((looks) => looks > 0),
    };
    const options = [...this.#group.options];
    for (const option of options) option.hidden = !several[option.value as Grouping];
    this.#group.hidden = options.filter((option) => !option.hidden).length < 2;
    if (!this.#group.matches(":focus")) this.#group.value = group;
  }

  #drawChips(model: RunModel, chosen: Chip): void {
    const shown = chipsOf(model, chosen);
    this.#drawn = shown;
    while (this.#pool.length < shown.length) this.#pool.push(this.#chip(this.#pool.length));
    this.#pool.forEach((element, i) => {
      const chip = shown[i];
      element.hidden = !chip;
      if (!chip) return;
      const [what, kind, label, rows] = chip;
      attribute(element, "aria-pressed", what === chosen);
      attribute(element, "data-kind", kind);
      const [, name, number] = element.children;
      if (name) say(name, label);
      if (number) say(number, count(rows));
    });
  }

  #chip(place: number): HTMLButtonElement {
    const element = button("filter", "", "", () => {
      const [what] = this.#drawn[place] ?? ["all"];
      const pressed = element.getAttribute("aria-pressed") === "true";
      this.#actions.query({ chip: pressed ? "all" : (what as Chip) });
    });
    element.removeAttribute("title");
    element.append(h("i", { class: "fr-shape", "aria-hidden": "true" }), h("span"), h("strong"));
    this.chips.append(element);
    return element;
  }
}

function chipsOf(model: RunModel, chosen: Chip): Shown[] {
  const { counts, head } = model;
  const failed = [...counts.failed].filter(([, rows]) => rows > 0).sort((a, b) => b[1] - a[1]);
  const all = failed.reduce((sum, [, rows]) => sum + rows, 0);
  const named = failed.slice(0, KINDS).map(([word, rows]): Shown => {
    return [word, "failed", oneLine(model.words[word] ?? "", 40).replace(/^http (?=\d)/, ""), rows];
  });
  const active = model.finished || !model.alive ? 0 : head.progress.in_flight + head.progress.waiting;
  const chips: Shown[] = [
    ["all", "all", "All", model.known],
    ["ok", "ok", "ok", counts.ok],
    ["failed", "failed", "failed", failed.length > 1 ? all : 0],
    ...named,
    ["retried", "retried", "retried", counts.retried],
    ["cached", "cached", "cached", counts.cached],
    ["active", "active", "under way", active],
    ["cut", "cut", "cut off", counts.cut],
    ["unsent", "unsent", "not sent", counts.unsent],
  ];
  return chips.filter(([what, , , rows]) => rows > 0 || what === "all" || what === chosen);
}

function toggle(label: string, hint: string, action: (on: boolean) => void): HTMLButtonElement {
  const element = button("tool", label, hint, () => action(element.getAttribute("aria-pressed") !== "true"));
  return element;
}
