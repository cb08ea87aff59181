// Percentiles of any number of durations in constant space: buckets 2 % wide.

const STEP = Math.log(1.02);
const LOWEST_MS = 0.01;
const BUCKETS = 1200; // up to 0.01 ms * 1.02^1200, about 58 h

export class Histogram {
  total = 0;
  readonly #counts = new Uint32Array(BUCKETS);

  add(value: number): void {
    const bucket = Math.floor(Math.log(Math.max(value, LOWEST_MS) / LOWEST_MS) / STEP);
    const at = Math.min(BUCKETS - 1, bucket);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.total++;
  }

  /** Gives, for each share (0..1), a value within 1 % of the exact quantile (nearest rank); NaN when empty. */
  quantiles(shares: readonly number[]): number[] {
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
