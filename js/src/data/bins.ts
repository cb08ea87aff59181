// Throughput and latency over time, in at most MOST bins: when a run outlasts them, two neighbours become one.

const MOST = 240;
const FIRST_WIDTH_MS = 10;

/** What ended in a stretch of time. */
interface Bin {
  failed: number;
  /** Latencies of all that ended, good and not. */
  latencies: number[];
}

export interface Point {
  /** Requests per second. */
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

export class TimeBins {
  width = FIRST_WIDTH_MS;
  bins: Bin[] = [];

  add(endMs: number, latencyMs: number, ok: boolean): void {
    if (!(endMs >= 0)) return;
    while (endMs / this.width >= MOST) {
      this.width *= 2;
      this.bins = this.#grouped(2);
    }
    const at = Math.floor(endMs / this.width);
    while (this.bins.length <= at) this.bins.push({ failed: 0, latencies: [] });
    const bin = this.bins[at];
    if (!bin) return;
    if (!ok) bin.failed++;
    bin.latencies.push(latencyMs);
  }

  /** Points for drawing: neighbours joined until each stands for at least `widthMs`. */
  series(widthMs: number): { width: number; points: Point[] } {
    const many = Math.max(1, Math.ceil(widthMs / this.width));
    const width = this.width * many;
    const points = this.#grouped(many).map(({ failed, latencies }) => {
      const sorted = Float64Array.from(latencies).sort();
      return {
        ok: ((sorted.length - failed) * 1000) / width,
        failed: (failed * 1000) / width,
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
