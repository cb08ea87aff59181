// One per widget model, shared by its views: takes what the kernel sends, asks for what is missing, sends commands.

import { RunModel } from "./model";
import { type Command, decode, isReply, isRows, type Reply, type RowsMessage, unpacked } from "./protocol";

/** As much of anywidget's model as is used here. */
export interface Channel {
  get(name: string): unknown;
  send(content: unknown): void;
  on(event: string, listener: (...args: never[]) => void): void;
}

/**
 * new       nothing was heard yet
 * live      the kernel answers or sends
 * stopped   the kernel is gone (restarted, shut down); what had arrived stays
 * saved     shown from a saved notebook, without a kernel
 */
export type Connection = "new" | "live" | "stopped" | "saved";

export interface Clock {
  now(): number;
  after(ms: number, action: () => void): void;
}

const BROWSER: Clock = {
  now: () => performance.now(),
  after: (ms, action) => void setTimeout(action, ms),
};

/** A kernel that sends nothing for so long while a run goes on is busy or gone. */
const SILENT_MS = 5000;
const ASK_AGAIN_MS = 2000;
const NEXT_PART_MS = 70;
const PROBE_MS = 100;
const ANSWER_MS = 3000;

export class Store {
  run = new RunModel();
  connection: Connection = "new";
  readonly #listeners = new Set<() => void>();
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #mine = new Set<number>();
  // Every page hears all replies: numbers start somewhere else on each.
  #nextId = Math.floor(Math.random() * 2 ** 40) * 1024;
  #lastSeq = 0;
  #heard = 0;
  #lastAsked = -1e9;

  readonly #channel: Channel;
  readonly #clock: Clock;

  constructor(channel: Channel, clock: Clock = BROWSER) {
    this.#channel = channel;
    this.#clock = clock;
    channel.on("msg:custom", (content: unknown, buffers: unknown) => {
      this.receive(content, (buffers ?? []) as DataView[]);
    });
    // The widget manager lost or found the kernel; sending tells which.
    channel.on("comm_live_update", () => clock.after(PROBE_MS, () => this.#probe()));
    channel.on("comm:close", () => this.#stopped());
  }

  /** Shows what the notebook kept, and asks the kernel, if there is one, for the state of the run. */
  async start(): Promise<void> {
    this.#ask(0);
    await this.#readSnapshot();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Seconds since the kernel was last heard of while it should be telling, else 0. */
  silence(): number {
    if (this.connection !== "live" || this.run.finished || this.run.version === 0) return 0;
    const passed = this.#clock.now() - this.run.heardAt;
    return passed > SILENT_MS ? passed / 1000 : 0;
  }

  /** Sends a command; the answer may never come (a kernel busy in a cell), so nothing must wait for it alone. */
  command(command: Command): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      if (!this.#send({ ...command, id })) {
        this.#waiting.delete(id);
        resolve({ kind: "reply", id, ok: false, said: "the kernel is gone" });
      }
    });
  }

  receive(content: unknown, buffers: readonly DataView[]): void {
    if (isReply(content)) {
      this.#waiting.get(content.id)?.(content);
      this.#waiting.delete(content.id);
    } else if (isRows(content)) {
      this.connection = "live";
      this.#heard++;
      this.#takeRows(content, buffers);
    } else {
      return;
    }
    this.#changed();
  }

  #takeRows(head: RowsMessage, buffers: readonly DataView[]): void {
    if (head.run !== this.run.head.run) this.#newRun(head);
    const gap = this.#lastSeq > 0 && head.seq > this.#lastSeq + 1;
    this.#lastSeq = Math.max(this.#lastSeq, head.seq);
    this.run.apply(decode(head, buffers), this.#clock.now());
    if (head.answers !== null && this.#mine.delete(head.answers)) {
      const { next } = head;
      if (next !== null) this.#clock.after(NEXT_PART_MS, () => this.#ask(next));
    } else if (gap && this.#clock.now() - this.#lastAsked > ASK_AGAIN_MS) {
      this.#ask(0);
    }
  }

  #newRun(head: RowsMessage): void {
    const first = this.run.head.run === "";
    this.run = new RunModel();
    this.#lastSeq = 0;
    // The first run was asked for by start(); a later one began after that.
    if (!first && head.seq > 1) this.#ask(0);
  }

  #ask(from: number): void {
    const id = this.#nextId++;
    this.#mine.add(id);
    this.#lastAsked = this.#clock.now();
    this.#send({ do: "state", from, id });
  }

  #send(content: unknown): boolean {
    if (this.connection === "stopped") return false;
    try {
      this.#channel.send(content);
      return true;
    } catch {
      this.#stopped();
      return false;
    }
  }

  #probe(): void {
    this.#ask(0);
    const before = this.#heard;
    this.#clock.after(ANSWER_MS, () => {
      if (this.#heard === before) this.#stopped();
    });
  }

  #stopped(): void {
    if (this.connection === "live" || this.connection === "new") this.connection = "stopped";
    this.run.alive = false;
    this.#changed();
  }

  /** What the notebook kept: unpacked meanwhile, so that a kernel that answers is heard first. */
  async #readSnapshot(): Promise<void> {
    const packed = this.#channel.get("snapshot");
    if (typeof packed !== "string" || !packed) return;
    const kept = await unpacked(packed);
    if (!kept || this.#heard) return;
    this.run = new RunModel();
    this.run.apply(kept, this.#clock.now());
    this.connection = "saved";
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
