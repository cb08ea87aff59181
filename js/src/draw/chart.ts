// Throughput and latency over the whole run; dragging on it chooses a stretch of time.

import type { RunModel } from "../data/model";
import { h, on, surface } from "../view/dom";
import { count, ms, rate, tick } from "../view/format";
import { axisTop, type Domain, type Scale, ticks, toTime, toX } from "./layout";
import type { Theme } from "./theme";

const LEAST_BAR = 12;
const SECOND = 1000;
const HEIGHT = 84;
const AXIS = 14;
const TOP = 14;

export interface ChartActions {
  choose(window: Domain | null): void;
  tip(text: string[] | null, event: MouseEvent): void;
}

export class Chart {
  readonly element = h("div", { class: "fr-chart" });
  readonly #canvas = h("canvas", { role: "img", "aria-label": "Throughput and latency" });
  #scale: Scale = { domain: { from: 0, to: 1 }, width: 1 };
  #shown: ReturnType<RunModel["bins"]["series"]> = {
    width: 1,
    points: [],
  };
  #dragFrom: number | null = null;
  #drag: Domain | null = null;

  readonly #actions: ChartActions;

  constructor(actions: ChartActions) {
    this.#actions = actions;
    this.element.append(this.#canvas);
    on(this.#canvas, "pointerdown", (event) => this.#begin(event));
    on(this.#canvas, "pointermove", (event) => this.#move(event));
    on(this.#canvas, "pointerup", () => this.#release());
    // The browser took the gesture over, for scrolling by touch.
    on(this.#canvas, "pointercancel", () => {
      this.#drag = this.#dragFrom = null;
    });
    on(this.#canvas, "pointerleave", (event) => this.#actions.tip(null, event));
    on(this.#canvas, "dblclick", () => this.#actions.choose(null));
  }

  draw(model: RunModel, end: number, window: Domain | null, theme: Theme): void {
    const width = this.element.clientWidth;
    const ink = surface(this.#canvas, width, HEIGHT);
    if (!ink || width < 20) return;
    this.#scale = { domain: { from: 0, to: Math.max(end, 1) }, width };
    this.#shown = model.bins.series((LEAST_BAR * end) / width);
    const { points } = this.#shown;
    const most = axisTop(Math.max(1, ...points.map(({ ok, failed }) => ok + failed)));
    const slowest = axisTop(Math.max(1, ...points.map(({ p95 }) => p95 || 0)));
    this.#drawGrid(ink, theme);
    this.#drawThroughput(ink, theme, most, model.finished ? Number.POSITIVE_INFINITY : end);
    this.#drawLatency(ink, theme, slowest);
    this.#drawAxis(ink, theme);
    this.#drawScales(ink, theme, most, slowest);
    if (window) this.#drawWindow(ink, theme, window);
    if (this.#drag) this.#drawDrag(ink, theme, this.#drag);
  }

  #y(share: number): number {
    return HEIGHT - AXIS - share * (HEIGHT - AXIS - TOP);
  }

  /** Both axes share two lines: the top and the half. */
  #drawGrid(ink: CanvasRenderingContext2D, theme: Theme): void {
    ink.fillStyle = theme.line;
    for (const share of [0.5, 1]) ink.fillRect(0, Math.round(this.#y(share)), this.#scale.width, 1);
  }

  #drawThroughput(ink: CanvasRenderingContext2D, theme: Theme, most: number, until: number): void {
    const { width, points } = this.#shown;
    points.forEach((point, i) => {
      // The last bin of a running run is not full yet and would look like a slump.
      if ((i + 1) * width > until && i > 0) return;
      const x = toX(this.#scale, i * width);
      const w = Math.max(1, toX(this.#scale, (i + 1) * width) - x - 1);
      const [good, all] = [this.#y(point.ok / most), this.#y((point.ok + point.failed) / most)];
      ink.fillStyle = theme.ok;
      ink.fillRect(x, good, w, this.#y(0) - good);
      // Told apart by shape as well as by colour.
      if (good > all) hatched(ink, x, all, w, good - all, theme);
    });
  }

  #drawLatency(ink: CanvasRenderingContext2D, theme: Theme, slowest: number): void {
    const { width, points } = this.#shown;
    ink.strokeStyle = theme.text;
    ink.lineWidth = 1.5;
    ink.lineJoin = "round";
    ink.beginPath();
    points.forEach((point, i) => {
      const [x, y] = [toX(this.#scale, (i + 0.5) * width), this.#y(point.p95 / slowest)];
      // Where nothing ended there is no latency: the line stops, and a lone point is a dash.
      if (i && !Number.isNaN(points[i - 1]?.p95)) ink.lineTo(x, y);
      else ink.moveTo(x - 2, y);
      ink.lineTo(x + 2, y);
    });
    ink.stroke();
    ink.lineWidth = 1;
  }

  #drawAxis(ink: CanvasRenderingContext2D, theme: Theme): void {
    const at = ticks(this.#scale, 90);
    ink.font = theme.font;
    ink.textBaseline = "middle";
    ink.fillStyle = theme.line;
    ink.fillRect(0, this.#y(0), this.#scale.width, 1);
    ink.fillStyle = theme.dim;
    for (const { time, x } of at) {
      const text = tick(time);
      if (x + ink.measureText(text).width + 4 < this.#scale.width)
        ink.fillText(text, x + 2, HEIGHT - AXIS / 2 + 1);
    }
  }

  /** What the upper line and the half one stand for: requests at the left, latency at the right. */
  #drawScales(ink: CanvasRenderingContext2D, theme: Theme, most: number, slowest: number): void {
    const { width, points } = this.#shown;
    ink.fillStyle = theme.dim;
    if (!points.length) {
      ink.fillText("no finished requests", 2, TOP / 2);
      return;
    }
    const per = width === SECOND ? "requests/s" : `requests in ${ms(width)}`;
    ink.fillText(`${count(most)} ${per}`, 2, TOP / 2);
    const text = `p95 ${ms(slowest)}`;
    const length = ink.measureText(text).width;
    ink.fillText(text, this.#scale.width - length - 2, TOP / 2);
    ink.fillStyle = theme.text;
    ink.fillRect(this.#scale.width - length - 18, TOP / 2 - 1, 12, 2);
    if (most % 2 === 0) this.#written(ink, theme, count(most / 2), 2);
    const half = ms(slowest / 2);
    this.#written(ink, theme, half, this.#scale.width - ink.measureText(half).width - 2);
  }

  /** A figure on the half line, with a rim, so that it is read over bars as well. */
  #written(ink: CanvasRenderingContext2D, theme: Theme, text: string, x: number): void {
    const y = this.#y(0.5);
    ink.strokeStyle = theme.bg;
    ink.lineWidth = 3;
    ink.strokeText(text, x, y);
    ink.lineWidth = 1;
    ink.fillStyle = theme.dim;
    ink.fillText(text, x, y);
  }

  /** Where in the run the waterfall below is: a bracket on the time line. */
  #drawWindow(ink: CanvasRenderingContext2D, theme: Theme, { from, to }: Domain): void {
    const left = Math.max(0, toX(this.#scale, from));
    const right = Math.min(this.#scale.width, toX(this.#scale, to));
    ink.fillStyle = theme.accent;
    ink.fillRect(left, this.#y(0) - 1, Math.max(2, right - left), 3);
    if (right - left > this.#scale.width * 0.97) return;
    ink.globalAlpha = 0.1;
    ink.fillRect(left, TOP, Math.max(2, right - left), this.#y(0) - TOP);
    ink.globalAlpha = 1;
  }

  #drawDrag(ink: CanvasRenderingContext2D, theme: Theme, { from, to }: Domain): void {
    const [left, right] = [toX(this.#scale, from), toX(this.#scale, to)];
    ink.strokeStyle = theme.accent;
    ink.strokeRect(left + 0.5, TOP + 0.5, Math.max(1, right - left - 1), this.#y(0) - TOP);
  }

  #time(event: MouseEvent): number {
    const x = event.clientX - this.#canvas.getBoundingClientRect().left;
    return Math.min(Math.max(toTime(this.#scale, x), 0), this.#scale.domain.to);
  }

  #begin(event: PointerEvent): void {
    this.#dragFrom = this.#time(event);
    this.#canvas.setPointerCapture?.(event.pointerId);
  }

  #move(event: PointerEvent): void {
    const time = this.#time(event);
    if (this.#dragFrom === null) {
      this.#hover(time, event);
      return;
    }
    const [from, to] = [Math.min(time, this.#dragFrom), Math.max(time, this.#dragFrom)];
    this.#drag = ((to - from) / this.#scale.domain.to) * this.#scale.width > 3 ? { from, to } : null;
    if (this.#drag) this.#actions.tip([`${ms(from)} to ${ms(to)}`], event);
  }

  #release(): void {
    if (this.#drag) this.#actions.choose(this.#drag);
    this.#drag = null;
    this.#dragFrom = null;
  }

  #hover(time: number, event: MouseEvent): void {
    const { width, points } = this.#shown;
    const at = Math.floor(time / width);
    const point = points[at];
    if (!point) {
      this.#actions.tip(null, event);
      return;
    }
    const lines = [`${ms(at * width)} to ${ms((at + 1) * width)}`, `${count(point.ok)} ok`];
    if (point.failed) lines.push(`${count(point.failed)} failed`);
    if (width !== SECOND) lines.push(`${rate(((point.ok + point.failed) * SECOND) / width)} requests/s`);
    if (!Number.isNaN(point.p95)) lines.push(`p95 ${ms(point.p95)}`);
    this.#actions.tip(lines, event);
  }
}

function hatched(
  ink: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  theme: Theme,
): void {
  ink.fillStyle = theme.failed;
  ink.fillRect(x, y, width, height);
  ink.save();
  ink.beginPath();
  ink.rect(x, y, width, height);
  ink.clip();
  ink.strokeStyle = theme.bg;
  ink.beginPath();
  for (let at = x - height - ((x - height) % 5); at < x + width; at += 5) {
    ink.moveTo(at, y + height);
    ink.lineTo(at + height, y);
  }
  ink.stroke();
  ink.restore();
}
