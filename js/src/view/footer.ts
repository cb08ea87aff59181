// Below the table: what is shown comes to, and how it is taken along, as code or as a file.

import type { RunModel } from "../data/model";
import { figuresOf, filtered, type Query } from "../data/order";
import type { Store } from "../data/store";
import { copied, offered } from "./details";
import { button, h, say } from "./dom";
import { bytes, count, ms, oneLine } from "./format";

/** Rows in an expression that names each. */
const NAMED = 500;

export class Footer {
  readonly element = h("div", { class: "fr-shown" });
  readonly #count = h("span", { class: "fr-count" });
  readonly #figures = h("span", { class: "fr-dim" });
  readonly #note = h("span", { class: "fr-dim", role: "status" });
  readonly #code = button(
    "tool",
    "Copy as code",
    "These rows of the frame, as Python",
    () => void this.#copy(),
  );
  #rows: Uint32Array = new Uint32Array(0);
  #query: Query | null = null;

  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    const csv = button("tool", "CSV", "Save the rows shown as CSV", () =>
      this.#save("csv", csvOf(store.run, this.#rows)),
    );
    const har = button("tool", "HAR", "Save the rows shown as HTTP archive", () => void this.#archive());
    this.element.append(
      this.#count,
      this.#figures,
      this.#note,
      h("span", { class: "fr-view" }, this.#code, csv, har),
    );
  }

  /** Says what the rows shown come to. */
  draw(model: RunModel, rows: Uint32Array, query: Query): void {
    this.#rows = rows;
    this.#query = query;
    const known = count(model.known);
    const all = `${known} ${model.known === 1 ? "request" : "requests"}`;
    say(this.#count, filtered(query) ? `${count(rows.length)} of ${known}` : all);
    const parts: string[] = [];
    if (rows.length) {
      const { bytes: size, shares } = figuresOf(model, rows);
      const [p50 = Number.NaN, p95 = Number.NaN] = shares;
      parts.push(bytes(size), ms(p50) && `p50 ${ms(p50)}`, ms(p95) && `p95 ${ms(p95)}`);
    } else if (model.known) parts.push("no request matches: change or clear the filter");
    say(this.#figures, parts.filter(Boolean).join("  ·  "));
  }

  async #copy(): Promise<void> {
    const { run } = this.#store;
    const query = this.#query;
    // A chip alone is a condition; anything else is a list of places.
    const plain = query?.text === "" && query.window === null;
    const error = plain && typeof query.chip === "number" ? (run.words[query.chip] ?? null) : null;
    const ok = plain && query.chip === "ok";
    if (!ok && error === null && this.#rows.length > NAMED) {
      say(this.#note, `narrow the filter: at most ${NAMED} rows are named one by one`);
      return;
    }
    const rows = ok || error !== null ? [] : [...this.#rows].sort((a, b) => a - b);
    const reply = await this.#store.command({ do: "code", rows, error, ok });
    if (!reply.ok || !reply.text) say(this.#note, oneLine(reply.said ?? "nothing to copy"));
    else if (await copied(reply.text)) say(this.#note, `Copied: ${oneLine(reply.text, 60)}`);
    else this.#offer(reply.text);
  }

  #offer(text: string): void {
    this.element.querySelector(".fr-copy")?.remove();
    const area = offered(text);
    this.element.append(area);
    area.select();
    say(this.#note, "Press Ctrl+C to copy.");
  }

  async #archive(): Promise<void> {
    const reply = await this.#store.command({ do: "har", rows: [...this.#rows] });
    if (reply.ok) this.#save("har", reply.text ?? "");
    else say(this.#note, oneLine(reply.said ?? ""));
  }

  #save(kind: string, text: string): void {
    const name = oneLine(this.#store.run.head.name, 60).replace(/\W+/g, "_") || "requests";
    const place = URL.createObjectURL(new Blob([text]));
    h("a", { href: place, download: `${name}.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(place), 10_000);
  }
}

const HEADS = [
  "position",
  "method",
  "url",
  "status",
  "error",
  "error_detail",
  "attempts",
  "size_bytes",
  "elapsed_ms",
];

/** Rows as CSV (RFC 4180). */
export function csvOf(model: RunModel, rows: Iterable<number>): string {
  const lines = [HEADS.join(",")];
  for (const row of rows) {
    const figures = [model.rows.tries[row] ?? 0, model.number("size", row), model.number("elapsed", row)];
    const texts = [
      model.word("method", row),
      model.url(row),
      model.status(row) || "",
      model.word("error", row),
      model.cause(row),
    ];
    const cells = [row, ...texts, ...figures].map((cell) => (Number.isNaN(cell) ? "" : quoted(`${cell}`)));
    lines.push(cells.join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

function quoted(text: string): string {
  // What a spreadsheet would take for a formula stands there as text.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
