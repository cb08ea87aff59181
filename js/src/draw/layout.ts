// Data -> geometry, without ink: where bars, ticks and rows lie. Times are milliseconds since the run began.

import type { Attempt } from "../data/attempts";
import { roundNumber } from "../data/figures";

export type Phase = "queued" | "dns" | "connect" | "tls" | "other" | "wait" | "receive" | "retry" | "live";

export interface Segment {
  phase: Phase;
  x: number;
  width: number;
  /** Part of an attempt that failed. */
  failed: boolean;
}

export interface Domain {
  from: number;
  to: number;
}

export interface Scale {
  domain: Domain;
  width: number;
}

export function toX(scale: Scale, time: number): number {
  const { from, to } = scale.domain;
  return ((time - from) / (to - from)) * scale.width;
}

export function toTime(scale: Scale, x: number): number {
  const { from, to } = scale.domain;
  return from + (x / scale.width) * (to - from);
}

interface Span {
  phase: Phase;
  from: number;
  to: number;
  failed: boolean;
}

/** The phases of one attempt in the order they happened; those nobody saw are one neutral span. */
export function attemptSpans(attempt: Attempt, now: number): Span[] {
  const { start } = attempt;
  if (Number.isNaN(start)) return [];
  const failed = attempt.error !== 0;
  const spans: Span[] = [];
  const put = (phase: Phase, from: number, to: number): void => {
    if (to > from) spans.push({ phase, from, to, failed });
  };
  put("queued", start - seen(attempt.queued), start);
  if (Number.isNaN(attempt.total)) return [...spans, ...liveSpans(attempt, now)];
  const end = start + attempt.total;
  let at = start;
  for (const phase of ["dns", "connect", "tls"] as const) {
    const until = Math.min(end, at + seen(attempt[phase]));
    put(phase, at, until);
    at = until;
  }
  const received = Math.max(at, end - seen(attempt.receive));
  const waited = Math.max(at, received - seen(attempt.wait));
  put("other", at, waited);
  put("wait", waited, received);
  put("receive", received, end);
  put("retry", end, end + attempt.retryWait);
  return spans;
}

function liveSpans(attempt: Attempt, now: number): Span[] {
  const { start, wait } = attempt;
  if (Number.isNaN(wait)) return now > start ? [{ phase: "live", from: start, to: now, failed: false }] : [];
  const first = start + wait;
  return [
    { phase: "wait", from: start, to: first, failed: false },
    { phase: "live", from: first, to: Math.max(first, now), failed: false },
  ];
}

function seen(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}

const THINNEST = 1;

/** The bars of one row, cut to the window; a phase that is there is at least a pixel wide, an attempt at least two. */
export function rowSegments(attempts: readonly Attempt[], scale: Scale, now: number): Segment[] {
  const segments: Segment[] = [];
  for (const attempt of attempts) {
    for (const { phase, from, to, failed } of attemptSpans(attempt, now)) {
      const until = phase === "retry" ? Math.min(to, Math.max(now, from)) : to;
      if (until < scale.domain.from || from > scale.domain.to) continue;
      const left = Math.max(-2, toX(scale, from));
      const right = Math.min(scale.width + 2, toX(scale, until));
      segments.push({ phase, x: left, width: Math.max(THINNEST, right - left), failed });
    }
  }
  return segments;
}

/** Moves all attempts of a row so that its first one begins at 0: bars can be compared. */
export function aligned(attempts: readonly Attempt[]): Attempt[] {
  const [first] = attempts;
  const offset = first ? first.start - seen(first.queued) : 0;
  return attempts.map((attempt) => ({ ...attempt, start: attempt.start - offset }));
}

const LONG_STEPS_S = [15, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** Round steps (1, 2, 5 times a power of ten, or of minutes) at least `apart` pixels from each other. */
export function ticks(scale: Scale, apart = 60): { time: number; x: number }[] {
  const { from, to } = scale.domain;
  const step = roundStep(((to - from) / Math.max(scale.width, 1)) * apart);
  const at: { time: number; x: number }[] = [];
  for (let k = Math.ceil(from / step - 1e-9) || 0; k * step <= to && at.length < 100; k++) {
    at.push({ time: k * step, x: toX(scale, k * step) });
  }
  return at;
}

export function roundStep(least: number): number {
  if (least > 10_000) return (LONG_STEPS_S.find((step) => step * 1000 >= least) ?? 604_800) * 1000;
  return roundNumber(least);
}

const TOPS = [1, 2, 3, 4, 5, 6, 8, 10];

/** Where an axis ends that shall hold this value: a number that is read at a glance, little above it. */
export function axisTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)) + 1e-9);
  return (TOPS.find((k) => k * power >= value * (1 - 1e-9)) ?? 10) * power;
}

/** Zooms by a factor around a moment, within [0, most] and never nearer than `closest`. */
export function zoomed(domain: Domain, factor: number, around: number, most: number, closest = 0.05): Domain {
  const width = Math.min(Math.max((domain.to - domain.from) / factor, closest), most);
  const share = (around - domain.from) / (domain.to - domain.from);
  return moved({ from: around - share * width, to: around + (1 - share) * width }, 0, most);
}

/** Moves a window by some milliseconds, without leaving [0, most]. */
export function moved(domain: Domain, by: number, most: number): Domain {
  const width = domain.to - domain.from;
  const from = Math.min(Math.max(0, domain.from + by), Math.max(0, most - width));
  return { from, to: from + width };
}

export interface Slice {
  first: number;
  last: number;
  /** Pixels of the first row's upper edge, in the scrolled content. */
  top: number;
  /** Height of the content. */
  height: number;
}

/** The rows that a scroll position shows. */
export function visibleRows(rows: number, rowHeight: number, scrollTop: number, viewport: number): Slice {
  const first = Math.max(0, Math.min(Math.floor(scrollTop / rowHeight), rows - 1));
  const last = Math.min(rows, Math.ceil((scrollTop + viewport) / rowHeight) + 1);
  return { first, last, top: first * rowHeight, height: rows * rowHeight };
}

/** The scroll position that brings a row into view, or the present one where it is already. */
export function scrollTo(row: number, rowHeight: number, scrollTop: number, viewport: number): number {
  const top = row * rowHeight;
  return Math.min(Math.max(scrollTop, top + rowHeight - viewport), top);
}
