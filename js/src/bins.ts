// Throughput and latency over time, in at most MOST bins: when a run outlasts them, two neighbours become one.

const MOST = 240;
const FIRST_WIDTH_MS = 50;

export interface Bin {
  ok: number;
  failed: number;
  /** Latencies of the requests that ended in it; sorted when `p95` is asked. */
  latencies: number[];
  p95: number;
  stale: boolean;
}

function emptyBin(): Bin {
  return { ok: 0, failed: 0, latencies: [], p95: Number.NaN, stale: false };
}

export class TimeBins {
  width = FIRST_WIDTH_MS;
  readonly bins: Bin[] = [];

  add(endMs: number, latencyMs: number, ok: boolean): void {
    if (!(endMs >= 0)) return;
    while (endMs / this.width >= MOST) this.#merge();
    const at = Math.floor(endMs / this.width);
    while (this.bins.length <= at) this.bins.push(emptyBin());
    const bin = this.bins[at];
    if (!bin) return;
    if (ok) bin.ok++;
    else bin.failed++;
    bin.latencies.push(latencyMs);
    bin.stale = true;
  }

  /** The 95th percentile (nearest rank) of a bin, worked out again only after it changed. */
  p95(bin: Bin): number {
    if (bin.stale) {
      const sorted = Float64Array.from(bin.latencies).sort();
      bin.p95 = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Number.NaN;
      bin.stale = false;
    }
    return bin.p95;
  }

  /** Bins for drawing: neighbours joined until one is at least `widthMs` wide; requests per second and p95 of each. */
  series(widthMs: number): { width: number; points: { ok: number; failed: number; p95: number }[] } {
    const join = Math.max(1, Math.ceil(widthMs / this.width));
    const width = this.width * join;
    const points: { ok: number; failed: number; p95: number }[] = [];
    for (let from = 0; from < this.bins.length; from += join) {
      const group = this.bins.slice(from, from + join);
      const p95s = group.map((bin) => this.p95(bin)).filter((value) => !Number.isNaN(value));
      points.push({
        ok: (group.reduce((sum, bin) => sum + bin.ok, 0) * 1000) / width,
        failed: (group.reduce((sum, bin) => sum + bin.failed, 0) * 1000) / width,
        p95: p95s.length ? Math.max(...p95s) : Number.NaN,
      });
    }
    return { width, points };
  }

  #merge(): void {
    this.width *= 2;
    const halved: Bin[] = [];
    for (let i = 0; i < this.bins.length; i += 2) {
      const left = this.bins[i] ?? emptyBin();
      const right = this.bins[i + 1] ?? emptyBin();
      const latencies = left.latencies.concat(right.latencies);
      const [ok, failed] = [left.ok + right.ok, left.failed + right.failed];
      halved.push({ ok, failed, latencies, p95: Number.NaN, stale: latencies.length > 0 });
    }
    this.bins.splice(0, this.bins.length, ...halved);
  }
}
