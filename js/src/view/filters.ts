// The line between chart and table: what is shown, and how the time axis lies.

import type { RunModel } from "../data/model";
import { everything, filtered, type Query, type StatusFilter } from "../data/order";
import type { Lane, Mode } from "../draw/lane";
import { attribute, button, h, on, say } from "./dom";
import { count, ms, oneLine } from "./format";

const STATUSES = "all ok failed retried active 2xx 3xx 4xx 5xx none".split(" ") as StatusFilter[];
const LABELS: Partial<Record<StatusFilter, string>> = {
  all: "All",
  active: "in flight or waiting",
  none: "no answer",
};
const MODES: readonly [Mode, string, string][] = [
  ["rows", "Rows", "Time axis: fit the rows in view (0)"],
  ["run", "Run", "Time axis: the whole run"],
  ["align", "Align", "Time axis: all bars begin at the left"],
];
const MOST_HOSTS = 500;

export interface FilterActions {
  query(change: Partial<Query>): void;
  zoom(factor: number): void;
  mode(mode: Mode): void;
  follow(on: boolean): void;
}

export class Filters {
  readonly element = h("div", { class: "fr-filters", role: "group", "aria-label": "Filter and view" });
  readonly #text = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter by text",
    spellcheck: "false",
  });
  readonly #status = h("select", { "aria-label": "Filter by status" });
  readonly #host = h("select", { "aria-label": "Filter by host" });
  readonly #window = button("chip", "", "All times (0)", () => this.#actions.query({ window: null }));
  readonly #shown = h("span", { class: "fr-dim fr-count" });
  readonly #follow: HTMLButtonElement;
  readonly #modes: HTMLButtonElement[];
  #hosts = -1;

  readonly #actions: FilterActions;

  constructor(actions: FilterActions) {
    this.#actions = actions;
    for (const value of STATUSES) this.#status.append(h("option", { value }, LABELS[value] ?? value));
    this.#follow = this.#toggle("Follow", "Keep the newest in view", (on) => actions.follow(on));
    this.#modes = MODES.map(([mode, label, hint]) => button("tool", label, hint, () => actions.mode(mode)));
    this.#listen();
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
    this.element.append(this.#text, this.#status, this.#host, this.#window, this.#shown, view);
  }

  draw(model: RunModel, query: Query, rows: number, follow: boolean, lane: Lane): void {
    if (model.hosts.size !== this.#hosts) this.#listHosts(model, query);
    const known = count(model.known);
    say(
      this.#shown,
      filtered(query) ? `${count(rows)} of ${known}` : known === "1" ? "1 request" : `${known} requests`,
    );
    attribute(this.#follow, "aria-pressed", follow);
    this.#follow.hidden = model.finished;
    this.#modes.forEach((element, i) => {
      attribute(element, "aria-pressed", !lane.window && lane.mode === MODES[i]?.[0]);
    });
    this.#window.hidden = query.window === null;
    if (query.window) say(this.#window, `${ms(query.window[0])} – ${ms(query.window[1])} ✕`);
  }

  focus(): void {
    this.#text.focus();
  }

  #listen(): void {
    const actions = this.#actions;
    on(this.#text, "input", () => actions.query({ text: this.#text.value }));
    on(this.#status, "change", () => actions.query({ status: this.#status.value as StatusFilter }));
    on(this.#host, "change", () => actions.query({ host: Number(this.#host.value) }));
  }

  #listHosts(model: RunModel, query: Query): void {
    this.#hosts = model.hosts.size;
    const options = [...model.hosts]
      .slice(0, MOST_HOSTS)
      .map((index) => h("option", { value: index }, oneLine(model.words[index] ?? "", 80)));
    this.#host.replaceChildren(h("option", { value: everything().host }, "All hosts"), ...options);
    this.#host.value = `${query.host}`;
    this.#host.hidden = this.#hosts < 2;
  }

  #toggle(label: string, hint: string, action: (on: boolean) => void): HTMLButtonElement {
    const element = button("tool", label, hint, () =>
      action(element.getAttribute("aria-pressed") !== "true"),
    );
    return element;
  }
}
