import { beforeEach, describe, expect, test } from "vitest";
import type { Command, Reply } from "../src/data/protocol";
import { type Channel, type Clock, Store } from "../src/data/store";
import { buffersOf, STORY, type Told } from "./story";

type Sent = Command & { id: number };

/** A kernel's end of the line. */
class Line implements Channel {
  sent: Sent[] = [];
  dead = false;
  snapshot: unknown = {};
  readonly #listeners = new Map<string, (...args: never[]) => void>();

  get(): unknown {
    return this.snapshot;
  }

  send(content: unknown): void {
    if (this.dead) throw new Error("no kernel");
    this.sent.push(content as Sent);
  }

  on(event: string, listener: (...args: never[]) => void): void {
    this.#listeners.set(event, listener);
  }

  say(event: string, ...args: unknown[]): void {
    (this.#listeners.get(event) as ((...args: unknown[]) => void) | undefined)?.(...args);
  }

  tell(told: Told, change: Partial<Told> = {}): void {
    this.say("msg:custom", { ...told, ...change }, buffersOf(told));
  }
}

class HandClock implements Clock {
  time = 0;
  readonly #timers: { at: number; action: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, action: () => void): void {
    this.#timers.push({ at: this.time + ms, action });
  }

  pass(ms: number): void {
    this.time += ms;
    const due = this.#timers.filter(({ at }) => at <= this.time);
    for (const timer of due) this.#timers.splice(this.#timers.indexOf(timer), 1);
    for (const { action } of due) action();
  }
}

const [first, second, third, answer] = STORY as [Told, Told, Told, Told];
let line: Line;
let clock: HandClock;
let store: Store;

beforeEach(() => {
  line = new Line();
  clock = new HandClock();
  store = new Store(line, clock);
  void store.start();
});

test("a page asks for the state of the run as soon as it listens", () => {
  expect(line.sent.map(({ do: what }) => what)).toEqual(["state"]);
  expect(store.connection).toBe("new");
});

test("it asks for the next part after an answer to its own question, until there is none", () => {
  const [asked] = line.sent;
  line.tell(answer, { answers: asked?.id ?? 0, next: 3 });
  clock.pass(100);
  expect(line.sent[1]).toMatchObject({ do: "state", from: 3 });
  line.tell(answer, { answers: line.sent[1]?.id ?? 0, next: null });
  clock.pass(100);
  expect(line.sent.length).toBe(2);
});

test("it takes what another page asked for, and asks no further for it", () => {
  line.tell(answer, { answers: 4711, next: 3 });
  clock.pass(1000);
  expect(store.run.known).toBe(4);
  expect(line.sent.length).toBe(1);
});

test("it asks again when a message is missing", () => {
  line.tell(first);
  clock.pass(5000);
  line.tell(third);
  expect(line.sent.map(({ do: what }) => what)).toEqual(["state", "state"]);
});

test("it does not ask again and again", () => {
  line.tell(first);
  clock.pass(5000);
  line.tell(second, { seq: 10 });
  line.tell(third, { seq: 20 });
  expect(line.sent.length).toBe(2);
});

test("another run begins with an empty table", () => {
  line.tell(first);
  line.tell(second);
  line.tell(third, { run: "run-2", seq: 1 });
  expect(store.run.url(0)).toBe("");
  expect(store.run.head.run).toBe("run-2");
});

test("an answer goes to whoever asked", async () => {
  const asked = store.command({ do: "cancel" });
  const id = line.sent[1]?.id;
  line.say("msg:custom", { kind: "reply", id: -1, ok: false } satisfies Reply, []);
  line.say("msg:custom", { kind: "reply", id: id ?? 0, ok: true } satisfies Reply, []);
  expect((await asked).ok).toBe(true);
});

describe("a kernel that is gone", () => {
  test("is noticed when nothing can be sent to it", async () => {
    line.tell(first);
    line.dead = true;
    expect((await store.command({ do: "pause" })).ok).toBe(false);
    expect(store.connection).toBe("stopped");
  });

  test("is noticed when the line is cut, and what had arrived stays", () => {
    line.tell(first);
    line.dead = true;
    line.say("comm_live_update");
    clock.pass(200);
    expect(store.connection).toBe("stopped");
    expect(store.run.known).toBe(2);
  });

  test("is noticed when it does not answer after the line was cut", () => {
    line.tell(first);
    line.say("comm_live_update");
    clock.pass(200);
    expect(store.connection).toBe("live");
    clock.pass(5000);
    expect(store.connection).toBe("stopped");
  });

  test("may come back", () => {
    line.tell(first);
    line.say("comm:close");
    expect(store.connection).toBe("stopped");
    line.tell(second);
    expect(store.connection).toBe("live");
  });
});

test("a kernel that is silent though the run goes on is told apart from one that is gone", () => {
  line.tell(first);
  expect(store.silence()).toBe(0);
  clock.pass(8000);
  expect(store.silence()).toBe(8);
  expect(store.connection).toBe("live");
});

async function deflated({ buffers, ...head }: Told): Promise<string> {
  const bytes = buffers.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  const packed = new Blob([JSON.stringify(head), "\n", ...bytes])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  return btoa(String.fromCharCode(...new Uint8Array(await new Response(packed).arrayBuffer())));
}

test("a saved notebook shows what it kept, without a kernel", async () => {
  const saved = new Line();
  saved.snapshot = await deflated(answer);
  saved.dead = true;
  const shown = new Store(saved, clock);
  await shown.start();
  expect(shown.connection).toBe("saved");
  expect(shown.run.url(0)).toBe("https://a.example/orders/1?page=2");
});

test("messages of no known kind change nothing", () => {
  line.say("msg:custom", { kind: "rows", v: 99 }, []);
  line.say("msg:custom", null, []);
  expect(store.run.version).toBe(0);
});
