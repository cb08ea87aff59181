// The box beside the pointer with the exact figures.

import type { Attempt } from "../data/attempts";
import type { RunModel } from "../data/model";
import { h } from "./dom";
import { ms, oneLine } from "./format";
import { statusText } from "./table";

const PHASES = ["dns", "connect", "tls", "wait", "receive"] as const;

export class Tip {
  readonly element = h("div", { class: "fr-tip", role: "tooltip", hidden: true });

  readonly #root: HTMLElement;

  constructor(root: HTMLElement) {
    this.#root = root;
    root.append(this.element);
  }

  show(lines: readonly string[] | null, event: MouseEvent): void {
    this.element.hidden = lines === null;
    if (!lines) return;
    this.element.replaceChildren(...lines.map((line) => h("div", {}, line)));
    const box = this.#root.getBoundingClientRect();
    const left = Math.min(event.clientX - box.left + 12, box.width - this.element.offsetWidth - 4);
    const below = event.clientY - box.top + 16;
    const fits = below + this.element.offsetHeight <= box.height;
    this.element.style.left = `${Math.max(0, left)}px`;
    this.element.style.top = `${fits ? below : Math.max(0, below - this.element.offsetHeight - 24)}px`;
  }
}

/** What is said of a row: what was asked, what became of it, and each attempt's phases. */
export function rowFigures(model: RunModel, row: number): string[] {
  const lines = [`${oneLine(model.word("method", row))} ${oneLine(model.url(row), 120)}`];
  lines.push([statusText(model, row), oneLine(model.cause(row), 120)].filter(Boolean).join("  ·  "));
  for (const attempt of model.attempts(row)) lines.push(...attemptFigures(attempt));
  return lines.filter(Boolean);
}

function attemptFigures(attempt: Attempt): string[] {
  const figure = (name: string, value: number) => `${name} ${ms(value) || "not seen"}`;
  const parts = [figure("queued", attempt.queued), ...PHASES.map((phase) => figure(phase, attempt[phase]))];
  const seen = PHASES.reduce((sum, phase) => sum + (attempt[phase] || 0), 0);
  if (attempt.total - seen > 0.005) parts.push(figure("other", attempt.total - seen));
  const total = Number.isNaN(attempt.total) ? "under way" : ms(attempt.total);
  const begin = Number.isNaN(attempt.start) ? "in an earlier run" : `began at ${ms(attempt.start)}`;
  const after = attempt.retryWait > 0 ? [`    then waited ${ms(attempt.retryWait)}`] : [];
  return [`attempt ${attempt.number} ${begin}: ${total}`, `    ${parts.join("   ")}`, ...after];
}
