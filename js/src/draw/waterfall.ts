// Geometry -> ink: the bars of the rows in view, under one time axis.

import type { Attempt } from "../data/attempts";
import { tick } from "../view/format";
import { type Phase, rowSegments, type Scale, type Segment, ticks } from "./layout";
import type { Theme } from "./theme";

export interface Bar {
  /** Upper edge of its row. */
  y: number;
  attempts: readonly Attempt[];
  /** Written behind the bar, or where there is none and never was. */
  label: string;
  bare: boolean;
  /** Now, on the axis of this row's times. */
  now: number;
}

export interface Frame {
  scale: Scale;
  height: number;
  headHeight: number;
  rowHeight: number;
  bars: readonly Bar[];
}

const BAR = 10;
const THIN = 4;

export function drawWaterfall(ink: CanvasRenderingContext2D, frame: Frame, theme: Theme): void {
  const { scale, height, headHeight, rowHeight } = frame;
  drawAxis(ink, frame, theme);
  ink.save();
  ink.beginPath();
  ink.rect(0, headHeight, scale.width, height - headHeight);
  ink.clip();
  ink.font = theme.font;
  ink.textBaseline = "middle";
  for (const bar of frame.bars) {
    const middle = Math.round(bar.y + rowHeight / 2);
    const segments = rowSegments(bar.attempts, scale, bar.now);
    for (const segment of segments) drawSegment(ink, segment, middle, theme);
    drawLabel(ink, bar, segments, middle, scale.width, theme);
  }
  ink.restore();
}

function drawAxis(ink: CanvasRenderingContext2D, { scale, height, headHeight }: Frame, theme: Theme): void {
  const at = ticks(scale);
  ink.font = theme.font;
  ink.textBaseline = "middle";
  ink.lineWidth = 1;
  ink.strokeStyle = theme.line;
  ink.fillStyle = theme.dim;
  ink.beginPath();
  for (const { x } of at) {
    const left = Math.round(x) + 0.5;
    ink.moveTo(left, headHeight - 6);
    ink.lineTo(left, height);
  }
  ink.stroke();
  for (const { time, x } of at) {
    const text = tick(time);
    if (x + 4 + ink.measureText(text).width <= scale.width) ink.fillText(text, x + 4, headHeight / 2);
  }
}

function drawSegment(ink: CanvasRenderingContext2D, segment: Segment, middle: number, theme: Theme): void {
  const { phase, x, width, failed } = segment;
  if (phase === "retry") {
    ink.strokeStyle = theme.waiting;
    ink.setLineDash([2, 3]);
    ink.beginPath();
    ink.moveTo(x, middle + 0.5);
    ink.lineTo(x + width, middle + 0.5);
    ink.stroke();
    ink.setLineDash([]);
    return;
  }
  const height = phase === "queued" ? THIN : BAR;
  ink.fillStyle = colour(phase, theme);
  ink.globalAlpha = failed && phase !== "queued" ? 0.55 : 1;
  ink.fillRect(x, middle - height / 2, width, height);
  ink.globalAlpha = 1;
  if (failed && phase !== "queued") {
    // A failed attempt is underlined: told by shape as well as by colour.
    ink.fillStyle = theme.failed;
    ink.fillRect(x, middle + BAR / 2 - 2, width, 3);
  }
}

function colour(phase: Exclude<Phase, "retry">, theme: Theme): string {
  return theme[phase];
}

function drawLabel(
  ink: CanvasRenderingContext2D,
  { label, bare }: Bar,
  segments: readonly Segment[],
  middle: number,
  width: number,
  theme: Theme,
): void {
  const [first] = segments;
  const last = segments[segments.length - 1];
  ink.fillStyle = theme.dim;
  if (bare) ink.fillText(label, 6, middle + 0.5);
  if (!label || !first || !last) return;
  const [begin, end] = [first.x, last.x + last.width];
  const length = ink.measureText(label).width;
  if (end + 6 + length <= width) ink.fillText(label, end + 6, middle + 0.5);
  else if (begin - 6 - length >= 0) ink.fillText(label, begin - 6 - length, middle + 0.5);
}
