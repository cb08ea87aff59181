// Figures of a run in bounded space: percentiles of any number of durations, and throughput and latency over time.

const STEP = Math.log(1.02);
const LOWEST_MS = 0.01;
const FEW = 2000;
const BUCKETS = 1200; // up to 0.01 ms * 1.02^1200, about 58 h

/** Percentiles of durations: exact of few, in buckets 2 % wide of many. */
export class Histogram {
  total = 0;
  readonly #counts = new Uint32Array(BUCKETS);
  readonly #few: number[] = [];

  add(value: number): void {
    const bucket = Math.floor(Math.log(Math.max(value, LOWEST_MS) / LOWEST_MS) / STEP);
    const at = Math.min(BUCKETS - 1, bucket);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.total++;
    if (this.total <= FEW) this.#few.push(value);
  }

  /** Gives, for each share (0..1), the quantile by nearest rank, of more than FEW values within 1 %; NaN when empty. */
  quantiles(shares: readonly number[]): number[] {
    if (this.total <= FEW) return ranked(this.#few, shares);
    return shares.map((share) => {
      let left = Math.ceil(share * this.total);
      if (left <= 0) return Number.NaN;
      for (let i = 0; i < BUCKETS; i++) {
        left -= this.#counts[i] ?? 0;
        if (left <= 0) return LOWEST_MS * Math.exp((i + 0.5) * STEP);
      }
      return Number.NaN;
    });
  }
}

/** Quantiles by nearest rank, as the kernel works them out; NaN where there is nothing. */
export function ranked(values: readonly number[], shares: readonly number[]): number[] {
  const sorted = Float64Array.from(values).sort();
  return shares.map((share) => sorted[Math.ceil(share * sorted.length - 1e-9) - 1] ?? Number.NaN);
}

const MOST = 2400;
const TOGETHER = 10;
const FIRST_WIDTH_MS = 10;

/** 1, 2 or 5 times a power of ten, at least so much. */
export function roundNumber(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least) + 1e-9);
  return ([1, 2, 5].find((k) => k * power >= least * (1 - 1e-9)) ?? 10) * power;
}

/** What ended in a stretch of time. */
interface Bin {
  failed: number;
  /** Latencies of all that ended, good and not. */
  latencies: number[];
}

export interface Point {
  /** Requests that ended in this stretch. */
  ok: number;
  failed: number;
  /** 95th percentile (nearest rank) of latency; NaN where nothing ended. */
  p95: number;
}

function joined(bins: readonly Bin[]): Bin {
  return {
    failed: bins.reduce((sum, bin) => sum + bin.failed, 0),
    latencies: bins.flatMap((bin) => bin.latencies),
  };
}

/** What ended when, in at most MOST bins: when a run outlasts them, ten neighbours become one, so that widths stay round. */
export class TimeBins {
  width = FIRST_WIDTH_MS;
  bins: Bin[] = [];

  add(endMs: number, latencyMs: number, ok: boolean): void {
    if (!(endMs >= 0)) return;
    while (endMs / this.width >= MOST) {
      this.width *= TOGETHER;
      this.bins = this.#grouped(TOGETHER);
    }
    const at = Math.floor(endMs / this.width);
    while (this.bins.length <= at) this.bins.push({ failed: 0, latencies: [] });
    const bin = this.bins[at];
    if (!bin) return;
    if (!ok) bin.failed++;
    bin.latencies.push(latencyMs);
  }

  /** Points for drawing: neighbours joined until each stands for at least `widthMs`, and for a round time: 10, 20, 50 ms ... */
  series(widthMs: number): { width: number; points: Point[] } {
    const many = Math.round(roundNumber(Math.max(widthMs, this.width) / this.width));
    const width = this.width * many;
    const points = this.#grouped(many).map(({ failed, latencies }) => {
      const sorted = Float64Array.from(latencies).sort();
      return {
        ok: sorted.length - failed,
        failed,
        p95: sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Number.NaN,
      };
    });
    return { width, points };
  }

  #grouped(many: number): Bin[] {
    const groups: Bin[] = [];
    for (let i = 0; i < this.bins.length; i += many) groups.push(joined(this.bins.slice(i, i + many)));
    return groups;
  }
}
