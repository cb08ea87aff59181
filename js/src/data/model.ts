// The rows of one run as the page knows them: columns of numbers that grow, written by batches, keyed by position.
// A batch may bring a row again (a second view asked); what it says is the same, so nothing is counted twice.

import { type Attempt, AttemptPool } from "./attempts";
import { blank, grown } from "./columns";
import { Histogram, TimeBins } from "./figures";
import { type Batch, NOTHING, ROW, ROWS } from "./protocol";

const WORDS = ["error", "method", "host", "type", "cached"] as const;
/** Given up, not answered: such ends say nothing of the server. */
const CUT = ["cancelled", "deadline", "stopped"];
const NUMBERS = ["size", "elapsed", "status", "tries", "state", "chain", "page", "looks"] as const;

/** How many rows have ended how. */
export interface Counts {
  ok: number;
  retried: number;
  cached: number;
  cut: number;
  unsent: number;
  /** By the word of their error; not those that the run gave up. */
  failed: Map<number, number>;
}

export class RunModel {
  /** What was last said about the run as a whole. */
  head = NOTHING;
  /** Rows are 0 .. known-1; some of them may not have been heard of yet. */
  known = 0;
  /** Goes up whenever anything changed. */
  version = 0;
  /** When `head` came, milliseconds of performance.now(). */
  heardAt = 0;
  /** The kernel that runs it is there. */
  alive = true;
  rows = blank(ROWS, 256);
  readonly words: string[] = [""];
  readonly hosts = new Set<number>();
  readonly latency = new Histogram();
  readonly bins = new TimeBins();
  readonly counts: Counts = { ok: 0, retried: 0, cached: 0, cut: 0, unsent: 0, failed: new Map() };
  readonly #places = new Map<string, number>([["", 0]]);
  readonly #pool = new AttemptPool();
  readonly #urls: string[] = [];
  readonly #lowered: (string | undefined)[] = [];
  readonly #names = new Map<number, string>();
  readonly #causes = new Map<number, string>();

  get finished(): boolean {
    return this.head.state === "DONE" || this.head.state === "CANCELLED";
  }

  apply(batch: Batch, now: number): void {
    this.head = batch.head;
    this.heardAt = now;
    this.alive = true;
    this.version++;
    this.#reserve(batch.head.known);
    const words = batch.head.words.map((word) => this.#intern(word));
    this.#pool.apply(batch.attempts, words);
    this.#applyRows(batch, words);
  }

  state(row: number): number {
    return this.rows.state[row] ?? ROW.unknown;
  }

  status(row: number): number {
    return this.rows.status[row] ?? 0;
  }

  number(column: "size" | "elapsed", row: number): number {
    return this.rows[column][row] ?? Number.NaN;
  }

  word(column: (typeof WORDS)[number], row: number): string {
    return this.words[this.rows[column][row] ?? 0] ?? "";
  }

  url(row: number): string {
    return this.#urls[row] ?? "";
  }

  nameOf(row: number): string {
    return this.#names.get(row) ?? "";
  }

  cause(row: number): string {
    return this.#causes.get(row) ?? "";
  }

  /** URL, name and cause in small letters, for the filter. */
  searched(row: number): string {
    this.#lowered[row] ??= `${this.url(row)} ${this.nameOf(row)} ${this.cause(row)}`.toLowerCase();
    return this.#lowered[row];
  }

  /** It had its answer before this run began. */
  earlier(row: number): boolean {
    return this.state(row) >= ROW.ok && !!this.rows.tries[row] && Number.isNaN(this.span(row, 0)[0]);
  }

  /** Sent again after a failure in this run; a job that was looked at again was not. */
  retried(row: number): boolean {
    return (this.rows.tries[row] ?? 0) > 1 && !this.rows.looks[row] && !this.earlier(row);
  }

  /** The run gave it up: "cut" while it was under way, "unsent" before it was ever tried. */
  givenUp(row: number): "cut" | "unsent" | null {
    if (this.state(row) !== ROW.failed || !CUT.includes(this.word("error", row))) return null;
    return this.rows.tries[row] ? "cut" : "unsent";
  }

  attempts(row: number): Attempt[] {
    return this.#pool.of(row);
  }

  /** When the row's first attempt was queued and its last one ended (`now` while it goes on); NaN if never sent. */
  span(row: number, now: number): [from: number, to: number] {
    return this.#pool.span(row, now);
  }

  /** Milliseconds since the run began, now: the kernel's clock, carried on by the page's while the run goes on. */
  clock(now: number): number {
    const goes = this.alive && !this.finished && this.head.state !== "PENDING";
    const passed = goes ? Math.min(now - this.heardAt, 3000) : 0;
    return this.head.progress.elapsed_s * 1000 + passed;
  }

  #applyRows({ head, rows }: Batch, words: number[]): void {
    for (let i = 0; i < rows.position.length; i++) {
      const row = rows.position[i] ?? 0;
      this.#reserve(row + 1);
      this.#describe(row, head.url[i], head.name_of[i], head.detail[i]);
      const ended = this.state(row) >= ROW.ok;
      // What has ended stays so, whatever a late message says.
      if (ended && (rows.state[i] ?? 0) < ROW.ok) continue;
      if (ended) this.#count(row, -1);
      for (const column of NUMBERS) this.rows[column][row] = rows[column][i] ?? 0;
      for (const column of WORDS) this.rows[column][row] = words[rows[column][i] ?? 0] ?? 0;
      const host = this.rows.host[row];
      if (host) this.hosts.add(host);
      if (this.state(row) >= ROW.ok) this.#count(row, 1);
      if (!ended) this.#measure(row);
    }
  }

  #count(row: number, by: 1 | -1): void {
    const { counts } = this;
    const givenUp = this.givenUp(row);
    if (this.state(row) === ROW.ok) counts.ok += by;
    else if (givenUp) counts[givenUp] += by;
    else {
      const word = this.rows.error[row] ?? 0;
      counts.failed.set(word, (counts.failed.get(word) ?? 0) + by);
    }
    if (this.word("cached", row)) counts.cached += by;
    if (this.retried(row)) counts.retried += by;
  }

  #describe(row: number, url?: string, name?: string, cause?: string): void {
    if (url !== undefined) this.#urls[row] = url;
    if (name !== undefined) this.#names.set(row, name);
    if (cause !== undefined) this.#causes.set(row, cause);
    if (url !== undefined || cause !== undefined) this.#lowered[row] = undefined;
  }

  /** Counts a row in the statistics, once, when it has ended. */
  #measure(row: number): void {
    const elapsed = this.number("elapsed", row);
    const [, end] = this.span(row, Number.NaN);
    if (this.state(row) < ROW.ok || Number.isNaN(elapsed)) return;
    this.latency.add(elapsed);
    if (!CUT.includes(this.word("error", row))) this.bins.add(end, elapsed, this.state(row) === ROW.ok);
  }

  #intern(word: string): number {
    const known = this.#places.get(word);
    if (known !== undefined) return known;
    const place = this.words.push(word) - 1;
    this.#places.set(word, place);
    return place;
  }

  #reserve(rows: number): void {
    this.known = Math.max(this.known, rows);
    const room = this.rows.size.length;
    if (rows > room) this.rows = grown(ROWS, this.rows, Math.max(rows, room * 2));
  }
}
