// What travels between kernel and page. The same words stand in fastreq_jupyter/notebook/feed.py; both sides are held
// together by tests/contract/*.json, written by a Python test and read by ours.

export const VERSION = 1;

export type RunState = "PENDING" | "RUNNING" | "PAUSED" | "CANCELLING" | "DONE" | "CANCELLED";

/** State of one row; the number is what travels. */
export const ROW = { unknown: 0, inFlight: 1, waiting: 2, ok: 3, failed: 4 } as const;

export interface Progress {
  total: number | null;
  done: number;
  ok: number;
  failed: number;
  retried: number;
  in_flight: number;
  waiting: number;
  bytes: number;
  elapsed_s: number;
  per_second: number;
  eta_s: number | null;
  notice: string | null;
}

export interface Settings {
  concurrency: number;
  rate_limit: string;
}

/** JSON part of a batch of rows; numbers are in two buffers (rows, attempts). */
export interface RowsMessage {
  kind: "rows";
  v: number;
  run: string;
  name: string;
  state: RunState;
  seq: number;
  /** Lowest position in this batch. */
  start: number;
  /** Rows and attempts in the buffers. */
  count: number;
  attempts: number;
  /** Rows whose positions the kernel knows; a page that knows fewer asks for them. */
  known: number;
  /** Rows beyond this position are counted, not listed. */
  row_limit: number;
  progress: Progress;
  settings: Settings;
  words: string[];
  /** Texts of the first `url.length` rows. */
  url: string[];
  /** Index in this batch -> the request's name, and the cause of its failure. */
  name_of: Record<string, string>;
  detail: Record<string, string>;
  /** The closing line, once the run has ended. */
  closing: string | null;
  /** Id of the `state` command this answers, and the position to go on from. */
  answers: number | null;
  next: number | null;
}

export interface DetailAttempt {
  number: number;
  status: number | null;
  error: string | null;
  detail: string | null;
  started_at: string;
  phases: [name: string, ms: number | null][];
  total_ms: number | null;
  retry_wait_ms: number;
}

export interface Details {
  position: number;
  url: string;
  method: string;
  name: string | null;
  final_url: string | null;
  status: string | null;
  http_version: string | null;
  error: string | null;
  detail: string | null;
  size: number | null;
  content_type: string | null;
  request_headers: [string, string][];
  request_body: string | null;
  response_headers: [string, string][];
  body: string | null;
  body_note: string | null;
  attempts: DetailAttempt[];
}

export interface Reply {
  kind: "reply";
  id: number;
  ok: boolean;
  said?: string;
  field?: string;
  details?: Details;
  text?: string;
}

export type Command =
  | { do: "state"; from: number }
  | { do: "cancel" | "pause" | "resume" | "retry" }
  | { do: "update"; concurrency?: string; rate_limit?: string }
  | { do: "details"; position: number }
  | { do: "copy"; position: number; as: "curl" | "cell" };

export interface RowColumns {
  size: Float64Array;
  elapsed: Float32Array;
  position: Uint32Array;
  status: Uint16Array;
  error: Uint16Array;
  method: Uint16Array;
  host: Uint16Array;
  type: Uint16Array;
  tries: Uint8Array;
  state: Uint8Array;
}

export interface AttemptColumns {
  start: Float64Array;
  queued: Float32Array;
  dns: Float32Array;
  connect: Float32Array;
  tls: Float32Array;
  wait: Float32Array;
  receive: Float32Array;
  total: Float32Array;
  retryWait: Float32Array;
  position: Uint32Array;
  status: Uint16Array;
  error: Uint16Array;
  number: Uint8Array;
}

export interface Batch {
  head: RowsMessage;
  rows: RowColumns;
  attempts: AttemptColumns;
}

/** Takes columns one after another out of one buffer, widest first, so that each is aligned. */
class Reader {
  private offset = 0;
  private readonly bytes: ArrayBuffer;

  constructor(view: DataView) {
    // A message's buffers start anywhere in its frame: copied, so that eight-byte columns are aligned.
    this.bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice().buffer;
  }

  private take(size: number, count: number): number {
    const at = this.offset;
    this.offset += size * count;
    if (this.offset > this.bytes.byteLength) throw new RangeError("a batch is shorter than it says");
    return at;
  }

  f8(count: number): Float64Array {
    return new Float64Array(this.bytes, this.take(8, count), count);
  }

  f4(count: number): Float32Array {
    return new Float32Array(this.bytes, this.take(4, count), count);
  }

  u4(count: number): Uint32Array {
    return new Uint32Array(this.bytes, this.take(4, count), count);
  }

  u2(count: number): Uint16Array {
    return new Uint16Array(this.bytes, this.take(2, count), count);
  }

  u1(count: number): Uint8Array {
    return new Uint8Array(this.bytes, this.take(1, count), count);
  }
}

/** Tells whether a custom message is one of ours, of this version. */
export function isRows(content: unknown): content is RowsMessage {
  const message = content as Partial<RowsMessage> | null;
  return message?.kind === "rows" && message.v === VERSION;
}

export function isReply(content: unknown): content is Reply {
  return (content as Partial<Reply> | null)?.kind === "reply";
}

/** Puts the buffers of a message under the names of their columns. Throws RangeError on a torn batch. */
export function decode(head: RowsMessage, buffers: readonly DataView[]): Batch {
  const [rowBytes, attemptBytes] = buffers;
  if (!rowBytes || !attemptBytes) throw new RangeError("a batch has two buffers");
  return { head, rows: readRows(rowBytes, head.count), attempts: readAttempts(attemptBytes, head.attempts) };
}

function readRows(view: DataView, n: number): RowColumns {
  const read = new Reader(view);
  return {
    size: read.f8(n),
    elapsed: read.f4(n),
    position: read.u4(n),
    status: read.u2(n),
    error: read.u2(n),
    method: read.u2(n),
    host: read.u2(n),
    type: read.u2(n),
    tries: read.u1(n),
    state: read.u1(n),
  };
}

function readAttempts(view: DataView, n: number): AttemptColumns {
  const read = new Reader(view);
  return {
    start: read.f8(n),
    queued: read.f4(n),
    dns: read.f4(n),
    connect: read.f4(n),
    tls: read.f4(n),
    wait: read.f4(n),
    receive: read.f4(n),
    total: read.f4(n),
    retryWait: read.f4(n),
    position: read.u4(n),
    status: read.u2(n),
    error: read.u2(n),
    number: read.u1(n),
  };
}

/** Turns the base64 text of a snapshot's buffer into the view a live message would bring. */
export function fromBase64(text: string): DataView {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new DataView(bytes.buffer);
}
