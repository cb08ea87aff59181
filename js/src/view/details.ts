// One request in full, in tabs: the answer, what was sent, the headers, where the time went. The tab stays from row to row.

import type { Command, DetailAttempt, Details, Reply, Section, TabName } from "../data/protocol";
import type { Store } from "../data/store";
import { attribute, button, h, on, say, uniqueId } from "./dom";
import { ms, neutral, oneLine } from "./format";
import { rowFigures } from "./tip";
import { type TreeView, treeOf } from "./tree";

const NO_ANSWER_MS = 1200;
const TABS: readonly [TabName, string][] = [
  ["response", "Response"],
  ["request", "Request"],
  ["headers", "Headers"],
  ["timing", "Timing"],
];
const EMPTY: Record<TabName, string> = {
  response: "No answer came.",
  request: "",
  headers: "No headers.",
  timing: "It was never sent.",
};
/** Characters of a body, as notebook/monitor/details.py cuts it. */
const BODY = 70_000;

export interface PaneActions {
  closed(): void;
  /** Goes to the row before or behind. */
  step(by: number): void;
}

export class DetailsPane {
  readonly element = h("aside", {
    class: "fr-details",
    "aria-label": "Request details",
    tabindex: -1,
    hidden: true,
  });
  readonly #heading = h("h3");
  readonly #line = h("span", { class: "fr-details-line" });
  readonly #place = button(
    "place",
    "",
    "Copy this expression",
    () => void this.#put(this.#details?.place ?? ""),
  );
  readonly #content = h("div", { class: "fr-details-content", role: "tabpanel", tabindex: -1 });
  readonly #note = h("p", { class: "fr-note", role: "status" });
  readonly #tabs: HTMLButtonElement[];
  readonly #id = uniqueId("fr-details");
  #tab: TabName = "response";
  #row: number | null = null;
  #details: Details | null = null;
  #tree: TreeView | null = null;

  readonly #store: Store;
  readonly #actions: PaneActions;

  constructor(store: Store, actions: PaneActions) {
    this.#store = store;
    this.#actions = actions;
    this.#tabs = TABS.map(([name, label], i) => {
      const tab = button("tab", label, "", () => this.#show(name));
      for (const [key, value] of [
        ["role", "tab"],
        ["id", `${this.#id}-${i}`],
        ["aria-controls", this.#id],
      ] as const)
        tab.setAttribute(key, value);
      return tab;
    });
    this.#content.id = this.#id;
    this.element.append(...this.#bars(), this.#note, this.#content);
    on(this.element, "keydown", (event) => this.#key(event));
    this.#mark();
  }

  get open(): boolean {
    return this.#row !== null;
  }

  async show(row: number): Promise<void> {
    const opening = this.#row === null;
    this.#row = row;
    this.element.hidden = false;
    say(this.#heading, `Request ${row}`);
    if (opening) this.#fill(null);
    const reply = await this.#ask({ do: "details", position: row });
    if (this.#row !== row) return;
    say(this.#note, reply.ok ? "" : oneLine(reply.said ?? "no details"));
    this.#fill(reply.details ?? (reply.ok ? null : this.#known(row)));
  }

  close(): void {
    if (!this.open) return;
    this.#row = null;
    const held = this.element.contains(document.activeElement);
    this.element.hidden = true;
    if (held) this.#actions.closed();
  }

  /** Fits what is drawn to the pane's size. */
  resized(): void {
    if (this.open) this.#tree?.draw();
  }

  #bars(): HTMLElement[] {
    const steps = h(
      "span",
      { class: "fr-joined" },
      button("tool", "‹", "The row before ([)", () => this.#actions.step(-1)),
      button("tool", "›", "The row behind (])", () => this.#actions.step(1)),
    );
    const close = button("close", "✕", "Close details", () => this.close());
    const copies = [this.#copier("curl"), this.#copier("cell")];
    const bar = h("div", { class: "fr-details-bar" }, steps, this.#heading, ...copies, close);
    const about = h("p", { class: "fr-details-about" }, this.#line, this.#place);
    const tabs = h(
      "div",
      { class: "fr-tabs", role: "tablist", "aria-label": "Request details" },
      ...this.#tabs,
    );
    return [bar, about, tabs];
  }

  /** Without a kernel: what the page knows by itself. */
  #known(row: number): Details {
    const known: Section = { title: "", text: rowFigures(this.#store.run, row).join("\n") };
    const tabs = { response: [known], request: [known], headers: [], timing: [known] };
    return { line: "", failed: false, place: null, tabs };
  }

  #fill(details: Details | null): void {
    this.#details = details;
    say(this.#line, oneLine(details?.line ?? ""));
    attribute(this.#line, "class", `fr-details-line ${details?.failed ? "fr-bad" : ""}`);
    say(this.#place, details?.place ?? "");
    this.#place.hidden = !details?.place;
    this.#drawTab();
  }

  #show(tab: TabName): void {
    this.#tab = tab;
    this.#mark();
    this.#drawTab();
  }

  #mark(): void {
    TABS.forEach(([name], i) => {
      const tab = this.#tabs[i];
      if (!tab) return;
      attribute(tab, "aria-selected", name === this.#tab);
      attribute(tab, "tabindex", name === this.#tab ? 0 : -1);
      if (name === this.#tab) attribute(this.#content, "aria-labelledby", tab.id);
    });
  }

  #drawTab(): void {
    this.#tree = null;
    const sections = this.#details?.tabs[this.#tab] ?? [];
    const parts = sections.map((section) => this.#laidOut(section));
    if (this.#details && !parts.length) parts.push(h("p", { class: "fr-dim" }, EMPTY[this.#tab]));
    this.#content.replaceChildren(...parts);
    this.#content.scrollTop = 0;
    this.resized();
  }

  #laidOut(section: Section): HTMLElement {
    const { title, facts, attempts, text, json, picture, note } = section;
    const element = h("section", {}, h("h4", {}, title));
    if (note) element.append(h("p", { class: "fr-dim" }, oneLine(note)));
    if (facts) element.append(listed(facts));
    if (attempts) element.append(...attempts.map(attempt));
    if (picture) element.append(pictured(picture));
    if (json) element.append(this.#json(element, json));
    if (text) element.append(h("pre", { tabindex: 0 }, neutral(text, BODY)));
    return element;
  }

  #json(section: HTMLElement, json: string): HTMLElement {
    const tree = treeOf(json, (copied) => void this.#put(copied));
    if (!tree) return h("pre", { tabindex: 0 }, neutral(json, BODY));
    this.#tree = tree;
    section.classList.add("fr-grows");
    return tree.element;
  }

  #key(event: KeyboardEvent): void {
    const at = this.#tabs.indexOf(event.target as HTMLButtonElement);
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (at >= 0 && by) {
      const next = (at + by + TABS.length) % TABS.length;
      this.#show(TABS[next]?.[0] ?? "response");
      this.#tabs[next]?.focus();
      event.stopPropagation();
      event.preventDefault();
    }
  }

  async #ask(command: Command): Promise<Reply> {
    say(this.#note, "");
    const late = setTimeout(() => say(this.#note, "The kernel is busy …"), NO_ANSWER_MS);
    const reply = await this.#store.command(command);
    clearTimeout(late);
    return reply;
  }

  #copier(form: "curl" | "cell"): HTMLButtonElement {
    const label = form === "curl" ? "Copy as cURL" : "Copy as cell";
    return button("button", label, "Secrets stand as {{$env NAME}}", () => void this.#copy(form));
  }

  async #copy(form: "curl" | "cell"): Promise<void> {
    if (this.#row === null) return;
    const reply = await this.#ask({ do: "copy", position: this.#row, as: form });
    if (reply.ok && reply.text !== undefined) await this.#put(reply.text);
    else say(this.#note, oneLine(reply.said ?? "nothing to copy"));
  }

  /** Puts a text on the clipboard; where the page may not, it is laid out, selected. */
  async #put(text: string): Promise<void> {
    this.#content.querySelector(".fr-copy")?.remove();
    if (await copied(text)) {
      say(this.#note, "Copied.");
      return;
    }
    this.#content.prepend(offered(text));
    this.#content.querySelector<HTMLTextAreaElement>(".fr-copy")?.select();
    say(this.#note, "Press Ctrl+C to copy.");
  }
}

export async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export function offered(text: string): HTMLTextAreaElement {
  const area = h("textarea", { readonly: true, rows: 6, class: "fr-copy", "aria-label": "Text to copy" });
  area.value = text;
  return area;
}

function pictured(source: string): HTMLElement {
  const image = h("img", { src: source, alt: "The body as a picture", class: "fr-picture" });
  on(image, "error", () =>
    image.replaceWith(h("p", { class: "fr-dim" }, "The browser cannot show it as a picture.")),
  );
  return image;
}

function listed(facts: [string, string][]): HTMLElement {
  const list = h("dl", { class: "fr-facts" });
  for (const [name, value] of facts) list.append(h("dt", {}, oneLine(name)), h("dd", {}, oneLine(value)));
  return list;
}

function attempt({ title, failed, notes, phases }: DetailAttempt): HTMLElement {
  const longest = Math.max(...phases.slice(0, -1).map(([, value]) => value ?? 0), 1e-6);
  const rows = phases.map(([name, value], i) => {
    const bar = h("i", { class: `fr-phase fr-bg-${name}` });
    bar.style.width = i < phases.length - 1 ? `${(100 * (value ?? 0)) / longest}%` : "0";
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", {}, value === null ? "not seen" : ms(value)),
      h("td", {}, bar),
    );
  });
  const lines = notes.map((note) => h("p", { class: "fr-dim" }, oneLine(note)));
  const head = h("p", { class: failed ? "fr-bad" : "" }, oneLine(title));
  return h("div", { class: "fr-attempt" }, head, ...lines, h("table", { class: "fr-phases" }, ...rows));
}
