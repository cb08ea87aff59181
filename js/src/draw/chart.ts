// Throughput and latency over the whole run; dragging on it chooses a stretch of time.

import type { RunModel } from "../data/model";
import { h, on, surface } from "../view/dom";
import { ms, rate, tick } from "../view/format";
import { type Domain, type Scale, ticks, toTime, toX } from "./layout";
import type { Theme } from "./theme";

const LEAST_BAR = 15;
const SECOND = 1000;
const HEIGHT = 74;
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
    on(this.#canvas, "pointerleave", (event) => this.#actions.tip(null, event));
    on(this.#canvas, "dblclick", () => this.#actions.choose(null));
  }

  draw(model: RunModel, end: number, window: Domain | null, theme: Theme): void {
    const width = this.element.clientWidth;
    const ink = surface(this.#canvas, width, HEIGHT);
    if (!ink || width < 20) return;
    this.#scale = { domain: { from: 0, to: Math.max(end, 1) }, width };
    this.#shown = model.bins.series((LEAST_BAR * end) / width);
    this.#drawThroughput(ink, theme, model.finished ? Number.POSITIVE_INFINITY : end);
    const slowest = this.#drawLatency(ink, theme);
    this.#drawAxis(ink, theme);
    const busiest = Math.max(...model.bins.series(SECOND).points.map(({ ok, failed }) => ok + failed));
    // In less than a second there is no such number, and of one bar it would say nothing.
    this.#drawScales(ink, theme, end < SECOND ? "requests" : `up to ${rate(busiest)} requests/s`, slowest);
    if (window) this.#drawWindow(ink, theme, window);
    if (this.#drag) this.#drawDrag(ink, theme, this.#drag);
  }

  #y(share: number): number {
    return HEIGHT - AXIS - share * (HEIGHT - AXIS - TOP);
  }

  #drawThroughput(ink: CanvasRenderingContext2D, theme: Theme, until: number): void {
    const { width, points } = this.#shown;
    const most = Math.max(1e-9, ...points.map((point) => point.ok + point.failed));
    points.forEach((point, i) => {
      // The last bin of a running run is not full yet and would look like a slump.
      if ((i + 1) * width > until && i > 0) return;
      const x = toX(this.#scale, i * width);
      const w = Math.max(1, toX(this.#scale, (i + 1) * width) - x - 1);
      const [good, all] = [this.#y(point.ok / most), this.#y((point.ok + point.failed) / most)];
      ink.fillStyle = theme.ok;
      ink.fillRect(x, good, w, this.#y(0) - good);
      ink.fillStyle = theme.failed;
      ink.fillRect(x, all, w, good - all);
    });
  }

  #drawLatency(ink: CanvasRenderingContext2D, theme: Theme): number {
    const { width, points } = this.#shown;
    const slowest = Math.max(0, ...points.map((point) => point.p95 || 0));
    ink.strokeStyle = theme.tls;
    ink.lineWidth = 1.5;
    ink.lineJoin = "round";
    ink.beginPath();
    points.forEach((point, i) => {
      const [x, y] = [toX(this.#scale, (i + 0.5) * width), this.#y(point.p95 / (slowest || 1))];
      // Where nothing ended there is no latency: the line stops, and a lone point is a dash.
      if (i && !Number.isNaN(points[i - 1]?.p95)) ink.lineTo(x, y);
      else ink.moveTo(x - 2, y);
      ink.lineTo(x + 2, y);
    });
    ink.stroke();
    ink.lineWidth = 1;
    return slowest;
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

  #drawScales(ink: CanvasRenderingContext2D, theme: Theme, throughput: string, slowest: number): void {
    ink.fillStyle = theme.dim;
    ink.fillText(this.#shown.points.length ? throughput : "no finished requests", 2, TOP / 2);
    if (!slowest) return;
    const text = `p95 up to ${ms(slowest)}`;
    const length = ink.measureText(text).width;
    ink.fillText(text, this.#scale.width - length - 2, TOP / 2);
    ink.fillStyle = theme.tls;
    ink.fillRect(this.#scale.width - length - 18, TOP / 2 - 1, 12, 2);
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
    const lines = [`${ms(at * width)} to ${ms((at + 1) * width)}`, `${rate(point.ok)} ok/s`];
    if (point.failed) lines.push(`${rate(point.failed)} failed/s`);
    if (!Number.isNaN(point.p95)) lines.push(`p95 ${ms(point.p95)}`);
    this.#actions.tip(lines, event);
  }
}
