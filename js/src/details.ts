// One request in full: attempts with their phases, headers, the beginning of the body; copied as cURL or as a cell.

import { button, h, on, say } from "./dom";
import { bytes, ms, neutral, oneLine } from "./format";
import type { DetailAttempt, Details } from "./protocol";
import type { Store } from "./store";

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
    say(this.#note, "");
    this.#content.replaceChildren(this.#brief(row));
    const late = setTimeout(() => say(this.#note, "Waiting for the kernel, which is busy …"), NO_ANSWER_MS);
    const reply = await this.#store.command({ do: "details", position: row });
    clearTimeout(late);
    if (this.#row !== row) return;
    say(this.#note, reply.ok ? "" : oneLine(reply.said ?? "no details"));
    if (reply.details) this.#content.replaceChildren(...sections(reply.details));
  }

  close(): void {
    if (!this.open) return;
    this.#row = null;
    this.element.hidden = true;
    this.#closed();
  }

  /** What the page knows by itself, at once. */
  #brief(row: number): HTMLElement {
    const model = this.#store.run;
    return facts([
      ["URL", oneLine(model.url(row))],
      ["Method", oneLine(model.word("method", row))],
      ["Error", oneLine([model.word("error", row), model.cause(row)].filter(Boolean).join(": "))],
    ]);
  }

  #copier(form: "curl" | "cell"): HTMLButtonElement {
    const label = form === "curl" ? "Copy as cURL" : "Copy as cell";
    return button("button", label, "Secrets stand as {{$env NAME}}", () => void this.#copy(form));
  }

  async #copy(form: "curl" | "cell"): Promise<void> {
    if (this.#row === null) return;
    const reply = await this.#store.command({ do: "copy", position: this.#row, as: form });
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

function sections(details: Details): HTMLElement[] {
  const made = [
    general(details),
    part(`Attempts (${details.attempts.length})`, ...details.attempts.map(attempt)),
  ];
  if (details.response_headers.length) made.push(part("Response headers", headers(details.response_headers)));
  const note = details.body_note ? h("p", { class: "fr-dim" }, oneLine(details.body_note)) : null;
  if (details.body !== null || note) {
    made.push(
      part("Body", details.body === null ? null : h("pre", { tabindex: 0 }, neutral(details.body)), note),
    );
  }
  if (details.request_headers.length) made.push(part("Request headers", headers(details.request_headers)));
  if (details.request_body !== null)
    made.push(part("Request body", h("pre", { tabindex: 0 }, neutral(details.request_body))));
  return made;
}

function general(details: Details): HTMLElement {
  const moved = details.final_url !== null && details.final_url !== details.url;
  return facts([
    ["URL", oneLine(details.url, 2000)],
    ["Final URL", moved ? oneLine(details.final_url ?? "", 2000) : ""],
    ["Name", oneLine(details.name ?? "")],
    ["Method", oneLine(details.method)],
    [
      "Status",
      [details.status, details.http_version && `HTTP/${details.http_version}`].filter(Boolean).join("  ·  "),
    ],
    ["Error", oneLine([details.error, details.detail].filter(Boolean).join(": "), 700)],
    [
      "Body",
      [bytes(details.size ?? Number.NaN), oneLine(details.content_type ?? "")].filter(Boolean).join("  ·  "),
    ],
  ]);
}

function facts(pairs: [string, string][]): HTMLElement {
  const list = h("dl", { class: "fr-facts" });
  for (const [name, value] of pairs) if (value) list.append(h("dt", {}, name), h("dd", {}, value));
  return list;
}

function headers(pairs: [string, string][]): HTMLElement {
  const list = h("dl", { class: "fr-facts fr-mono" });
  for (const [name, value] of pairs)
    list.append(h("dt", {}, oneLine(name)), h("dd", {}, oneLine(value, 1000)));
  return list;
}

function part(title: string, ...children: (HTMLElement | null)[]): HTMLElement {
  return h("section", {}, h("h4", {}, title), ...children);
}

function attempt(one: DetailAttempt): HTMLElement {
  const said = one.error ?? String(one.status ?? "");
  const title = h("p", { class: one.error ? "fr-bad" : "fr-good" }, `${one.number}. ${oneLine(said)}`);
  title.append(h("span", { class: "fr-dim" }, `  ${one.started_at.replace("T", " ").slice(0, 23)} UTC`));
  const cause =
    one.detail && one.detail !== one.error ? h("p", { class: "fr-dim" }, oneLine(one.detail, 700)) : null;
  const after = one.retry_wait_ms
    ? h("p", { class: "fr-dim" }, `then waited ${ms(one.retry_wait_ms)}`)
    : null;
  return h("div", { class: "fr-attempt" }, title, cause, phases(one), after);
}

function phases(one: DetailAttempt): HTMLElement {
  const longest = Math.max(...one.phases.map(([, value]) => value ?? 0), 1e-6);
  const rows = one.phases.map(([name, value]) => {
    const bar = h("span", { class: `fr-phase fr-bg-${name}` });
    bar.style.width = `${(100 * (value ?? 0)) / longest}%`;
    const text = value === null ? "not seen" : ms(value);
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, text), h("td", {}, bar));
  });
  const sum = one.total_ms === null ? "" : ms(one.total_ms);
  rows.push(h("tr", { class: "fr-sum" }, h("th", { scope: "row" }, "attempt"), h("td", {}, sum), h("td")));
  return h("table", { class: "fr-phases" }, h("tbody", {}, ...rows));
}
