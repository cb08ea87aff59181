// The upper part of the panel: what the run is doing, in numbers, and the hands that steer it.

import type { RunModel } from "../data/model";
import type { Command, Reply, RunState } from "../data/protocol";
import type { Connection, Store } from "../data/store";
import { attribute, button, h, on, say } from "./dom";
import { bytes, count, ms, oneLine, rate, seconds } from "./format";

const STATES: Record<RunState, string> = {
  PENDING: "Waiting to start",
  RUNNING: "Running",
  PAUSED: "Paused",
  CANCELLING: "Cancelling",
  DONE: "Done",
  CANCELLED: "Cancelled",
};
const NO_ANSWER_MS = 1200;
/** Requests in a snapshot, as notebook/monitor/widget.py takes it. */
const KEPT = 300;
const INTERRUPT = "The kernel is busy in the cell: use Interrupt (■).";

/** Up to so many requests need neither chart nor filters. */
const LOW = 8;

type Named = readonly [key: string, label: string, hint: string];

const FIGURES: readonly Named[] = [
  ["done", "done", ""],
  ["ok", "ok", "status below 400 and the body usable"],
  ["failed", "failed", ""],
  ["cut_off", "cut off", "under way when the run ended"],
  ["unsent", "not sent", "never tried: the run ended before"],
  ["retried", "retries", "attempts made again"],
  ["in_flight", "in flight", "attempts under way"],
  ["waiting", "waiting", "for the rate, a retry, a host, or another request"],
];
const SPEEDS: readonly Named[] = [
  ["pace", "req/s", "requests answered a second; over the whole run once it has ended"],
  ["bytes", "received", ""],
  ...[50, 95, 99].map((share): Named => {
    const name = `p${share}`;
    return [name, name, `${share} of 100 requests took no longer`];
  }),
  ["time", "elapsed", ""],
  ["eta", "left", ""],
];
const SEGMENTS = ["ok", "failed", "unsent", "flight", "waiting"] as const;
const HIDDEN_AT_ZERO = ["cut_off", "unsent"];

export interface ControlActions {
  /** Shows title, bar and figures alone, or all. */
  fold(): void;
  /** Shows chart and filters of a run so short that it needs none. */
  more(): void;
}

export class Controls {
  readonly element = h("header", { class: "fr-top" });
  readonly #title = h("strong", { class: "fr-title" });
  readonly #state = h("span", { class: "fr-state" });
  readonly #pause = button("button", "Pause", "Start no more attempts; those in flight end", () =>
    this.#command({ do: this.#store.run.head.state === "PAUSED" ? "resume" : "pause" }),
  );
  readonly #cancel = button("button", "Cancel", "End the run; what has arrived is kept", () =>
    this.#command({ do: "cancel" }),
  );
  readonly #retry = button("button", "Retry failed", "Send the failed requests again, as a new run", () =>
    this.#command({ do: "retry", only: "sent" }),
  );
  readonly #rest = button("button", "Send the rest", "Send what was never sent, as a new run", () =>
    this.#command({ do: "retry", only: "unsent" }),
  );
  readonly #fold: HTMLButtonElement;
  readonly #more: HTMLButtonElement;
  readonly #fields: Record<"concurrency" | "rate_limit", Field>;
  readonly #bar = h("div", {
    class: "fr-progress",
    role: "progressbar",
    "aria-label": "Requests finished",
  });
  readonly #segments = new Map(SEGMENTS.map((name) => [name, h("span", { class: `fr-seg fr-seg-${name}` })]));
  readonly #figures = new Map([...FIGURES, ...SPEEDS].map(([key]) => [key, h("dd")]));
  readonly #files = h("div", { class: "fr-files" });
  readonly #note = h("p", { class: "fr-note", role: "status", hidden: true });
  readonly #spoken = h("p", { class: "fr-spoken", "aria-live": "polite" });
  #answer = "";
  /** The run that a click on Cancel was meant for, until it says so itself. */
  #cancelling: string | null = null;
  #spokenAt = -1e9;

  readonly #store: Store;

  constructor(store: Store, actions: ControlActions) {
    this.#store = store;
    this.#fold = button("fold", "", "Fold", actions.fold);
    this.#more = button("tool", "More", "Chart, filters and time axis", actions.more);
    this.#fields = {
      concurrency: new Field("Concurrency", { type: "text", size: 5 }, (value) =>
        this.#command({ do: "update", concurrency: value }),
      ),
      rate_limit: new Field("Rate", { type: "text", placeholder: "no limit", size: 8 }, (value) =>
        this.#command({ do: "update", rate_limit: value }),
      ),
    };
    this.#assemble();
  }

  draw(now: number, shut = false, low: boolean | null = null): void {
    const { run: model, connection } = this.#store;
    const { state } = model.head;
    if (model.finished || this.#cancelling !== model.head.run) this.#cancelling = null;
    say(this.#title, oneLine(model.head.name) || "Requests");
    say(this.#state, stateText(model, connection, this.#cancelling ? "CANCELLING" : state));
    const mark =
      connection === "stopped" && !model.finished ? "STOPPED" : this.#cancelling ? "CANCELLING" : state;
    attribute(this.#state, "data-state", mark);
    attribute(this.#state, "data-failed", failures(model) ? "" : null);
    say(this.#fold, shut ? "▸" : "▾");
    attribute(this.#fold, "aria-expanded", !shut);
    this.#more.hidden = low === null || shut;
    attribute(this.#more, "aria-pressed", low === false);
    this.#drawButtons(model, connection);
    this.#drawBar(model);
    this.#drawFigures(model, now);
    this.#drawFiles(model);
    this.#drawNote(model);
    this.#speak(model, connection, now);
  }

  #assemble(): void {
    const { concurrency, rate_limit: limit } = this.#fields;
    const settings = h("span", { class: "fr-settings" }, concurrency.element, limit.element);
    const buttons = h(
      "span",
      { class: "fr-buttons", role: "group", "aria-label": "Run" },
      this.#pause,
      this.#cancel,
      this.#retry,
      this.#rest,
    );
    this.#bar.append(...this.#segments.values());
    const list = h("div", { class: "fr-figures" }, this.#listed(FIGURES), this.#listed(SPEEDS));
    const line = h(
      "div",
      { class: "fr-head" },
      this.#fold,
      this.#title,
      this.#state,
      buttons,
      settings,
      this.#more,
    );
    this.element.append(line, this.#bar, list, this.#files, this.#note, this.#spoken);
  }

  #listed(named: readonly Named[]): HTMLElement {
    const list = h("dl");
    for (const [key, label, hint] of named) {
      const figure = this.#figures.get(key) ?? null;
      list.append(h("div", { title: hint || false, class: `fr-f-${key}` }, h("dt", {}, label), figure));
    }
    return list;
  }

  #drawButtons(model: RunModel, connection: Connection): void {
    const reachable = connection === "live";
    const active = reachable && !model.finished && !this.#cancelling;
    say(this.#pause, model.head.state === "PAUSED" ? "Resume" : "Pause");
    this.#pause.hidden = this.#cancel.hidden = model.finished;
    this.#pause.disabled = !active || model.head.state === "CANCELLING" || model.head.state === "PENDING";
    this.#cancel.disabled = !active || model.head.state === "CANCELLING";
    const { failed, cut_off: cut, unsent } = model.head.progress;
    this.#retry.hidden = !(model.finished && failed > unsent);
    this.#rest.hidden = !(model.finished && unsent > 0);
    this.#retry.disabled = this.#rest.disabled = !reachable;
    say(this.#retry, `Retry ${count(failed - unsent)} ${failed - unsent > cut ? "failed" : "cut off"}`);
    say(this.#rest, `Send the other ${count(unsent)}`);
    this.#fields.concurrency.draw(`${model.head.settings.concurrency || ""}`, active);
    this.#fields.rate_limit.draw(model.head.settings.rate_limit, active);
    for (const field of Object.values(this.#fields)) field.element.hidden = model.finished;
  }

  #drawBar(model: RunModel): void {
    const p = model.head.progress;
    const whole = Math.max(p.total ?? 0, p.done + p.in_flight + p.waiting, 1);
    const unsent = p.cut_off + p.unsent;
    const parts = { ok: p.ok, failed: failures(model), unsent, flight: p.in_flight, waiting: p.waiting };
    if (!model.alive) parts.flight = parts.waiting = 0;
    for (const name of SEGMENTS) {
      const segment = this.#segments.get(name);
      if (segment) segment.style.width = `${(100 * parts[name]) / whole}%`;
    }
    attribute(this.#bar, "aria-valuemax", whole);
    attribute(this.#bar, "aria-valuenow", p.done);
  }

  #drawFigures(model: RunModel, now: number): void {
    const p = model.head.progress;
    const going = model.head.state === "RUNNING" && model.alive;
    const latency = model.head.latency ?? model.latency.quantiles([0.5, 0.95, 0.99]);
    const [p50 = Number.NaN, p95 = Number.NaN, p99 = Number.NaN] = latency;
    const clock = model.clock(now);
    const active = (value: number) => (model.alive ? count(value) : "–");
    const texts: Record<string, string> = {
      done: p.total === null ? count(p.done) : `${count(p.done)} / ${count(p.total)}`,
      ok: count(p.ok),
      failed: count(failures(model)),
      cut_off: count(p.cut_off),
      unsent: count(p.unsent),
      retried: count(p.retried),
      in_flight: active(p.in_flight),
      waiting: active(p.waiting),
      pace: rate(p.per_second),
      bytes: bytes(p.bytes),
      p50: ms(p50) || "–",
      p95: ms(p95) || "–",
      p99: ms(p99) || "–",
      time: ms(clock),
      eta: going && p.eta_s !== null ? seconds(p.eta_s) : "–",
    };
    for (const [key, node] of this.#figures) say(node, texts[key] ?? "");
    const left = this.#figures.get("eta")?.parentElement;
    if (left) left.hidden = model.finished;
    for (const key of HIDDEN_AT_ZERO) {
      const place = this.#figures.get(key)?.parentElement;
      if (place) place.hidden = texts[key] === "0";
    }
    for (const key of ["ok", "failed", "retried"]) {
      this.#figures.get(key)?.parentElement?.classList.toggle("fr-zero", texts[key] === "0");
    }
  }

  #drawFiles(model: RunModel): void {
    const files = (model.alive && model.head.progress.files) || [];
    this.#files.replaceChildren(
      ...files.map(([name, share, text]) => {
        const bar = name ? h("progress", { value: share ?? false, "aria-label": name }) : null;
        return h("p", {}, bar, h("b", {}, name), text);
      }),
    );
  }

  #drawNote(model: RunModel): void {
    const silent = this.#store.silence();
    const lines = [
      this.#store.connection === "stopped" && !model.finished
        ? `The kernel stopped before this run ended. ${count(model.head.progress.done)} requests had finished.`
        : "",
      silent ? `No news from the kernel for ${seconds(silent)}: it is busy in a cell.` : "",
      ...(model.finished ? [model.head.closing] : [model.head.progress.notice, model.head.settings.auto]),
      model.known >= model.head.row_limit
        ? `The first ${count(model.head.row_limit)} requests are listed; all are in the frame.`
        : "",
      this.#store.connection === "saved" && model.known > KEPT
        ? `The notebook keeps ${KEPT} requests: the first, and failed ones.`
        : "",
      this.#answer,
    ];
    const text = oneLine(lines.filter(Boolean).join("  ·  "), 600);
    say(this.#note, text);
    this.#note.hidden = text === "";
  }

  /** For those who hear the page: now and then, and when it ends. */
  #speak(model: RunModel, connection: Connection, now: number): void {
    if (!model.finished && now - this.#spokenAt < 10_000) return;
    this.#spokenAt = now;
    const p = model.head.progress;
    say(
      this.#spoken,
      `${stateText(model, connection, model.head.state)}: ${count(p.done)} of ${p.total ?? "unknown"} requests, ${count(failures(model))} failed`,
    );
  }

  async #command(command: Command): Promise<void> {
    this.#answer = "";
    // Said at once: the kernel's own word may stand behind thousands of rows.
    if (command.do === "cancel") this.#cancelling = this.#store.run.head.run;
    const late = setTimeout(() => this.#tell(INTERRUPT), NO_ANSWER_MS);
    const reply = await this.#store.command(command);
    clearTimeout(late);
    if (command.do === "cancel" && !reply.ok) this.#cancelling = null;
    this.#tell(reply.ok || reply.field ? "" : (reply.said ?? "refused"));
    if (command.do === "update") this.#showField(command, reply);
  }

  #showField(command: Command & { do: "update" }, reply: Reply): void {
    const name = "concurrency" in command ? "concurrency" : "rate_limit";
    this.#fields[name].refuse(reply.ok ? null : oneLine(reply.said ?? ""));
  }

  #tell(text: string): void {
    this.#answer = text;
    this.#drawNote(this.#store.run);
  }
}

/** A setting that acts while the run goes on: sent on Enter or when the field is left, never while it is typed in. */
class Field {
  readonly element = h("label", { class: "fr-field" });
  readonly #input: HTMLInputElement;
  readonly #error = h("span", { class: "fr-error", role: "alert" });
  #shown = "";

  constructor(label: string, attributes: Record<string, string | number>, send: (value: string) => void) {
    this.#input = h("input", { ...attributes, spellcheck: "false" });
    this.element.append(label, this.#input, this.#error);
    on(this.#input, "change", () => {
      this.#shown = this.#input.value;
      send(this.#input.value);
    });
  }

  draw(value: string, active: boolean): void {
    this.#input.disabled = !active;
    const typing = this.#input.matches(":focus");
    if (typing || this.#error.textContent || value === this.#shown) return;
    this.#shown = value;
    this.#input.value = value;
  }

  refuse(why: string | null): void {
    say(this.#error, why ?? "");
    attribute(this.#input, "aria-invalid", why === null ? null : "true");
  }
}

/** Requests that an answer, or the want of one, made fail; not those that the run gave up. */
export function failures({ head: { progress: p } }: RunModel): number {
  return p.failed - (p.cut_off ?? 0) - (p.unsent ?? 0);
}

/** A run so short that it needs neither chart nor filters. */
export function isShort(model: RunModel): boolean {
  return (model.head.progress.total ?? (model.finished ? model.known : LOW + 1)) <= LOW;
}

function stateText(model: RunModel, connection: Connection, state: RunState): string {
  if (connection === "stopped" && !model.finished) return "Stopped: the kernel is gone";
  if (connection === "new") return "Connecting";
  const text =
    model.finished && state === "DONE" && failures(model)
      ? `Done, ${count(failures(model))} failed`
      : STATES[state];
  return connection === "saved" ? `${text} (saved)` : text;
}
