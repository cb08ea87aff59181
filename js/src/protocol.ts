// What travels between kernel and page. The same words stand in fastreq_jupyter/notebook/feed.py; both sides are held
// together by tests/contract/*.json, written by a Python test and read by ours.

import { type Columns, read } from "./columns";

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
  name_of: Record<number, string>;
  detail: Record<number, string>;
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

/** Columns in the order of the buffer, widest first; `error`, `method`, `host`, `type` are places in `words`. */
export const ROWS = {
  size: "f8",
  elapsed: "f4",
  position: "u4",
  status: "u2",
  error: "u2",
  method: "u2",
  host: "u2",
  type: "u2",
  tries: "u1",
  state: "u1",
} as const;

export const ATTEMPTS = {
  start: "f8",
  queued: "f4",
  dns: "f4",
  connect: "f4",
  tls: "f4",
  wait: "f4",
  receive: "f4",
  total: "f4",
  retryWait: "f4",
  position: "u4",
  status: "u2",
  error: "u2",
  number: "u1",
} as const;

export type RowColumns = Columns<typeof ROWS>;
export type AttemptColumns = Columns<typeof ATTEMPTS>;

export interface Batch {
  head: RowsMessage;
  rows: RowColumns;
  attempts: AttemptColumns;
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
  return {
    head,
    rows: read(ROWS, rowBytes, head.count),
    attempts: read(ATTEMPTS, attemptBytes, head.attempts),
  };
}

/** Turns the base64 text of a snapshot's buffer into the view a live message would bring. */
export function fromBase64(text: string): DataView {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new DataView(bytes.buffer);
}

/** What a page knows before it has heard anything. */
export const NOTHING: RowsMessage = {
  kind: "rows",
  v: VERSION,
  run: "",
  name: "",
  state: "PENDING",
  seq: 0,
  start: 0,
  count: 0,
  attempts: 0,
  known: 0,
  row_limit: Number.POSITIVE_INFINITY,
  progress: {
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
  },
  settings: { concurrency: 0, rate_limit: "" },
  words: [],
  url: [],
  name_of: {},
  detail: {},
  closing: null,
  answers: null,
  next: null,
};
