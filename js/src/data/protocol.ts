// What travels between kernel and page. The same words stand in fastreq_jupyter/notebook/monitor/feed.py; both sides are held
// together by tests/contract/*.json, written by a Python test and read by ours.

import { type Columns, read, widthOf } from "./columns";

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
  /** Of the failed ones: those that the end of the run cut off, those never sent because of it. */
  cut_off: number;
  unsent: number;
  bytes: number;
  elapsed_s: number;
  per_second: number;
  eta_s: number | null;
  notice: string | null;
  /** Large files on their way: name, share that is there (null where the size is not known), and how far it is in words. */
  files?: [name: string, share: number | null, text: string][];
}

export interface Settings {
  concurrency: number | "auto";
  /** What "auto" has come to, and why, for people; empty for a number. */
  auto: string;
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
  /** Exact percentiles (50, 95, 99) in milliseconds, once the run has ended; empty where nothing was sent. */
  latency: number[] | null;
  /** Id of the `state` command this answers, and where to go on from. */
  answers: number | null;
  next: number | null;
}

/** A part of what is told of one request, ready to be laid out. */
export interface Section {
  title: string;
  facts?: [name: string, value: string][];
  attempts?: DetailAttempt[];
  text?: string | null;
  /** JSON as it came; it may be cut anywhere. */
  json?: string | null;
  /** A data: URL. */
  picture?: string | null;
  note?: string | null;
}

export type TabName = "response" | "request" | "headers" | "timing";

/** One request in full. */
export interface Details {
  line: string;
  failed: boolean;
  /** Python for the row, null where the frame cannot be named. */
  place: string | null;
  tabs: Record<TabName, Section[]>;
}

export interface DetailAttempt {
  title: string;
  failed: boolean;
  notes: string[];
  /** Milliseconds, null where nobody saw it; the whole attempt comes last. */
  phases: [name: string, ms: number | null][];
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
  | { do: "cancel" | "pause" | "resume" }
  | { do: "retry"; only: "sent" | "unsent" }
  | { do: "har"; rows: number[] }
  | { do: "code"; rows: number[]; error: string | null; ok: boolean }
  | { do: "update"; concurrency?: string; rate_limit?: string }
  | { do: "details"; position: number }
  | { do: "copy"; position: number; as: "curl" | "cell" };

/** Columns in the order of the buffer, widest first; `error`, `method`, `host`, `type` are places in `words`. */
export const ROWS = {
  size: "f8",
  elapsed: "f4",
  position: "u4",
  chain: "u4",
  status: "u2",
  error: "u2",
  method: "u2",
  host: "u2",
  type: "u2",
  cached: "u2",
  page: "u2",
  looks: "u2",
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

/** Unpacks a snapshot: base64 of what zlib made of its JSON, a newline, and its buffers. Null for what is none of ours. */
export async function unpacked(packed: string): Promise<Batch | null> {
  const stream = new Blob([fromBase64(packed) as DataView<ArrayBuffer>]).stream();
  const bytes = new Uint8Array(
    await new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer(),
  );
  const end = bytes.indexOf(10);
  const head: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  if (!isRows(head)) return null;
  const buffers = new DataView(bytes.buffer, end + 1);
  return decode(head, [buffers, new DataView(bytes.buffer, end + 1 + head.count * widthOf(ROWS))]);
}

const COUNTS = "done ok failed cut_off unsent retried in_flight waiting bytes elapsed_s per_second".split(
  " ",
);
const zeros = Object.fromEntries(COUNTS.map((name) => [name, 0]));

/** What a page knows before it has heard anything. */
export const NOTHING = {
  run: "",
  name: "",
  state: "PENDING",
  row_limit: Number.POSITIVE_INFINITY,
  progress: { total: null, eta_s: null, notice: null, ...zeros },
  settings: { concurrency: 0, rate_limit: "" },
  closing: null,
  latency: null,
} as unknown as RowsMessage;
