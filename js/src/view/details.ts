// One request in full: attempts with their phases, headers, the beginning of the body; copied as cURL or as a cell.

import type { Command, DetailAttempt, Reply, Section } from "../data/protocol";
import type { Store } from "../data/store";
import { button, h, on, say } from "./dom";
import { ms, neutral, oneLine } from "./format";
import { rowFigures } from "./tip";

const NO_ANSWER_MS = 1200;

export class DetailsPane {
  readonly element = h("aside", {
    class: "fr-details",
    "aria-label": "Request details",
    tabindex: -1,
    hidden: true,
  });
  readonly #heading = h("h3");
  readonly #content = h("div", { class: "fr-details-content" });
  readonly #note = h("p", { class: "fr-note", role: "status" });
  #row: number | null = null;

  readonly #store: Store;
  readonly #closed: () => void;

  constructor(store: Store, closed: () => void) {
    this.#store = store;
    this.#closed = closed;
    const close = button("close", "✕", "Close details", () => this.close());
    const bar = h(
      "div",
      { class: "fr-details-bar" },
      this.#heading,
      this.#copier("curl"),
      this.#copier("cell"),
      close,
    );
    this.element.append(bar, this.#note, this.#content);
    on(this.element, "keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  get open(): boolean {
    return this.#row !== null;
  }

  async show(row: number): Promise<void> {
    this.#row = row;
    this.element.hidden = false;
    say(this.#heading, `Request ${row}`);
    this.#content.replaceChildren();
    const reply = await this.#ask({ do: "details", position: row });
    if (this.#row !== row) return;
    say(this.#note, reply.ok ? "" : oneLine(reply.said ?? "no details"));
    // Without a kernel: what the page knows by itself.
    const known: Section = { title: "", text: rowFigures(this.#store.run, row).join("\n") };
    this.#content.replaceChildren(...(reply.details ?? (reply.ok ? [] : [known])).map(laidOut));
  }

  close(): void {
    if (!this.open) return;
    this.#row = null;
    const held = this.element.contains(document.activeElement);
    this.element.hidden = true;
    if (held) this.#closed();
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
    this.#content.querySelector(".fr-copy")?.remove();
    const reply = await this.#ask({ do: "copy", position: this.#row, as: form });
    if (!reply.ok || reply.text === undefined) {
      say(this.#note, oneLine(reply.said ?? "nothing to copy"));
      return;
    }
    try {
      await navigator.clipboard.writeText(reply.text);
      say(this.#note, "Copied.");
    } catch {
      this.#offer(reply.text);
    }
  }

  /** Where the page may not write to the clipboard, the text is laid out, selected. */
  #offer(text: string): void {
    const area = h("textarea", { readonly: true, rows: 6, class: "fr-copy", "aria-label": "Text to copy" });
    area.value = text;
    this.#content.prepend(area);
    area.select();
    say(this.#note, "Press Ctrl+C to copy.");
  }
}

function laidOut(section: Section): HTMLElement {
  const { title, facts, attempts, text, note } = section;
  const made = h("section", {}, h("h4", {}, title));
  if (facts) made.append(listed(facts));
  if (attempts) made.append(...attempts.map(attempt));
  if (text) made.append(h("pre", { tabindex: 0 }, neutral(text)));
  if (note) made.append(h("p", { class: "fr-dim" }, oneLine(note)));
  return made;
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
