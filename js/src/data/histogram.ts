// Percentiles of any number of durations in constant space: exact of few, in buckets 2 % wide of many.

const STEP = Math.log(1.02);
const LOWEST_MS = 0.01;
const FEW = 2000;
const BUCKETS = 1200; // up to 0.01 ms * 1.02^1200, about 58 h

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
