// The rows of one run as the page knows them: columns of numbers that grow, written by batches, keyed by position.
// A batch may bring a row again (a second view asked); what it says is the same, so nothing is counted twice.

import { TimeBins } from "./bins";
import { Histogram } from "./histogram";
import { type Batch, type Progress, ROW, type RunState, type Settings } from "./protocol";

export interface Attempt {
  number: number;
  /** Milliseconds since the run began; NaN where the attempt was made before (a row known already). */
  start: number;
  queued: number;
  dns: number;
  connect: number;
  tls: number;
  wait: number;
  receive: number;
  /** NaN while it goes on. */
  total: number;
  retryWait: number;
  status: number;
  error: string;
}

const PHASE_FIELDS = ["queued", "dns", "connect", "tls", "wait", "receive", "total", "retryWait"] as const;
const NONE = 0xffffffff;
const NO_PROGRESS: Progress = {
  total: null,
  done: 0,
  ok: 0,
  failed: 0,
  retried: 0,
  in_flight: 0,
  waiting: 0,
  bytes: 0,
  elapsed_s: 0,
  per_second: 0,
  eta_s: null,
  notice: null,
};

type Numbers = Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array;

function grown<T extends Numbers>(column: T, size: number): T {
  const larger = new (column.constructor as new (length: number) => T)(size);
  larger.set(column);
  return larger;
}

/** Attempts of all rows in one pool; those of a row are chained by `next`. */
class AttemptPool {
  count = 0;
  start = new Float64Array(256);
  phases = new Float32Array(256 * PHASE_FIELDS.length);
  status = new Uint16Array(256);
  error = new Uint16Array(256);
  number = new Uint8Array(256);
  next = new Uint32Array(256);

  add(): number {
    if (this.count === this.start.length) this.grow(this.count * 2);
    this.next[this.count] = NONE;
    return this.count++;
  }

  private grow(size: number): void {
    this.start = grown(this.start, size);
    this.phases = grown(this.phases, size * PHASE_FIELDS.length);
    this.status = grown(this.status, size);
    this.error = grown(this.error, size);
    this.number = grown(this.number, size);
    this.next = grown(this.next, size);
  }
}

export class RunModel {
  run = "";
  name = "";
  state: RunState = "PENDING";
  progress: Progress = NO_PROGRESS;
  settings: Settings = { concurrency: 0, rate_limit: "" };
  closing: string | null = null;
  rowLimit = Number.POSITIVE_INFINITY;
  /** Rows are 0 .. known-1; some of them may not have been heard of yet. */
  known = 0;
  /** Goes up whenever anything changed. */
  version = 0;
  /** When `progress` came, milliseconds of performance.now(). */
  heardAt = 0;

  size = new Float64Array(256);
  elapsed = new Float32Array(256);
  status = new Uint16Array(256);
  error = new Uint16Array(256);
  method = new Uint16Array(256);
  host = new Uint16Array(256);
  type = new Uint16Array(256);
  tries = new Uint8Array(256);
  rowState = new Uint8Array(256);
  private first = new Uint32Array(256).fill(NONE);
  private readonly pool = new AttemptPool();
  private readonly urls: string[] = [];
  private readonly lowered: (string | undefined)[] = [];
  private readonly names = new Map<number, string>();
  private readonly causes = new Map<number, string>();

  readonly words: string[] = [""];
  private readonly wordIndex = new Map<string, number>([["", 0]]);
  readonly hosts = new Set<number>();
  readonly latency = new Histogram();
  readonly bins = new TimeBins();

  get finished(): boolean {
    return this.state === "DONE" || this.state === "CANCELLED";
  }

  apply(batch: Batch, now: number): void {
    const { head } = batch;
    this.run = head.run;
    this.name = head.name;
    this.state = head.state;
    this.progress = head.progress;
    this.settings = head.settings;
    this.closing = head.closing;
    this.rowLimit = head.row_limit;
    this.heardAt = now;
    this.version++;
    this.reserve(Math.max(head.known, this.known));
    const words = head.words.map((word) => this.intern(word));
    this.applyAttempts(batch, words);
    this.applyRows(batch, words);
  }

  url(row: number): string {
    return this.urls[row] ?? "";
  }

  /** The URL in small letters, for the filter. */
  urlLower(row: number): string {
    let text = this.lowered[row];
    if (text === undefined) {
      text = `${this.url(row)} ${this.names.get(row) ?? ""} ${this.causes.get(row) ?? ""}`.toLowerCase();
      this.lowered[row] = text;
    }
    return text;
  }

  nameOf(row: number): string {
    return this.names.get(row) ?? "";
  }

  cause(row: number): string {
    return this.causes.get(row) ?? "";
  }

  word(index: number | undefined): string {
    return this.words[index ?? 0] ?? "";
  }

  attempts(row: number): Attempt[] {
    const found: Attempt[] = [];
    for (let at = this.first[row] ?? NONE; at !== NONE; at = this.pool.next[at] ?? NONE) found.push(this.attempt(at));
    return found;
  }

  /** When the row's first attempt was queued and its last one ended, ms since the run began; NaN, NaN if never sent. */
  span(row: number, now: number): [from: number, to: number] {
    let from = Number.NaN;
    let to = Number.NaN;
    const { pool } = this;
    for (let at = this.first[row] ?? NONE; at !== NONE; at = pool.next[at] ?? NONE) {
      const start = pool.start[at] ?? Number.NaN;
      const phase = at * PHASE_FIELDS.length;
      if (Number.isNaN(from)) from = start - (pool.phases[phase] || 0);
      const total = pool.phases[phase + 6] ?? Number.NaN;
      to = Number.isNaN(total) ? now : start + total;
    }
    return [from, to];
  }

  /** Milliseconds since the run began, now: the kernel's clock, carried on by the page's while the run goes on. */
  clock(now: number): number {
    const passed = this.finished ? 0 : Math.min(now - this.heardAt, 3000);
    return this.progress.elapsed_s * 1000 + (this.state === "PENDING" ? 0 : passed);
  }

  private attempt(at: number): Attempt {
    const { pool } = this;
    const phase = (i: number): number => pool.phases[at * PHASE_FIELDS.length + i] ?? Number.NaN;
    return {
      number: pool.number[at] ?? 0,
      start: pool.start[at] ?? Number.NaN,
      queued: phase(0),
      dns: phase(1),
      connect: phase(2),
      tls: phase(3),
      wait: phase(4),
      receive: phase(5),
      total: phase(6),
      retryWait: phase(7),
      status: pool.status[at] ?? 0,
      error: this.word(pool.error[at]),
    };
  }

  private applyAttempts({ attempts }: Batch, words: number[]): void {
    const { pool } = this;
    for (let i = 0; i < attempts.position.length; i++) {
      const at = this.slot(attempts.position[i] ?? 0, attempts.number[i] ?? 1);
      pool.start[at] = attempts.start[i] ?? Number.NaN;
      pool.status[at] = attempts.status[i] ?? 0;
      pool.error[at] = words[attempts.error[i] ?? 0] ?? 0;
      const base = at * PHASE_FIELDS.length;
      PHASE_FIELDS.forEach((field, k) => {
        pool.phases[base + k] = attempts[field][i] ?? Number.NaN;
      });
    }
  }

  /** Finds the place of a row's attempt, or makes it at the end of the row's chain. */
  private slot(row: number, number: number): number {
    const { pool } = this;
    this.reserve(row + 1);
    let last = NONE;
    for (let at = this.first[row] ?? NONE; at !== NONE; at = pool.next[at] ?? NONE) {
      if (pool.number[at] === number) return at;
      last = at;
    }
    const made = pool.add();
    pool.number[made] = number;
    if (last === NONE) this.first[row] = made;
    else pool.next[last] = made;
    return made;
  }

  private applyRows({ head, rows }: Batch, words: number[]): void {
    for (let i = 0; i < rows.position.length; i++) {
      const row = rows.position[i] ?? 0;
      this.reserve(row + 1);
      const url = head.url[i];
      if (url !== undefined) this.describe(row, url, head.name_of[i]);
      const cause = head.detail[i];
      if (cause !== undefined) this.explain(row, cause);
      const before = this.rowState[row] ?? ROW.unknown;
      this.rowState[row] = rows.state[i] ?? ROW.unknown;
      this.size[row] = rows.size[i] ?? Number.NaN;
      this.elapsed[row] = rows.elapsed[i] ?? Number.NaN;
      this.status[row] = rows.status[i] ?? 0;
      this.tries[row] = rows.tries[i] ?? 0;
      this.error[row] = words[rows.error[i] ?? 0] ?? 0;
      this.method[row] = words[rows.method[i] ?? 0] ?? 0;
      this.type[row] = words[rows.type[i] ?? 0] ?? 0;
      const host = words[rows.host[i] ?? 0] ?? 0;
      this.host[row] = host;
      if (host) this.hosts.add(host);
      if (before < ROW.ok) this.measure(row);
    }
  }

  private describe(row: number, url: string, name: string | undefined): void {
    this.urls[row] = url;
    this.lowered[row] = undefined;
    if (name !== undefined) this.names.set(row, name);
  }

  private explain(row: number, cause: string): void {
    this.causes.set(row, cause);
    this.lowered[row] = undefined;
  }

  /** Counts a row in the statistics, once, when it has ended. */
  private measure(row: number): void {
    const state = this.rowState[row] ?? ROW.unknown;
    const elapsed = this.elapsed[row] ?? Number.NaN;
    if (state < ROW.ok || Number.isNaN(elapsed)) return;
    const [, end] = this.span(row, Number.NaN);
    if (Number.isNaN(end)) return;
    this.latency.add(elapsed);
    this.bins.add(end, elapsed, state === ROW.ok);
  }

  private intern(word: string): number {
    const found = this.wordIndex.get(word);
    if (found !== undefined) return found;
    const index = this.words.push(word) - 1;
    this.wordIndex.set(word, index);
    return index;
  }

  private reserve(rows: number): void {
    if (rows <= this.known) return;
    this.known = rows;
    if (rows <= this.size.length) return;
    const size = Math.max(rows, this.size.length * 2);
    const had = this.first.length;
    this.size = grown(this.size, size);
    this.elapsed = grown(this.elapsed, size);
    this.status = grown(this.status, size);
    this.error = grown(this.error, size);
    this.method = grown(this.method, size);
    this.host = grown(this.host, size);
    this.type = grown(this.type, size);
    this.tries = grown(this.tries, size);
    this.rowState = grown(this.rowState, size);
    this.first = grown(this.first, size).fill(NONE, had);
  }
}
