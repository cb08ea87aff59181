// @vitest-environment jsdom
// What ships: the built module tells the story as its sources do.
import { expect, test, vi } from "vitest";
// @ts-expect-error what is built has no types
import open from "../../fastreq_jupyter/notebook/static/monitor.js";
import { buffersOf, STORY, type Told } from "./story";

type Widget = {
  initialize(context: { model: unknown }): void;
  render(context: { el: HTMLElement }): (() => void) | undefined;
};

class Channel {
  private listener: (content: unknown, buffers: DataView[]) => void = () => {};
  readonly sent: unknown[] = [];

  get(): unknown {
    return {};
  }

  send(content: unknown): void {
    this.sent.push(content);
  }

  on(event: string, listener: (content: unknown, buffers: DataView[]) => void): void {
    if (event === "msg:custom") this.listener = listener;
  }

  say(told: Told): void {
    this.listener(told, buffersOf(told));
  }
}

// What jsdom has not got.
class Observer {
  observe(): void {}
  disconnect(): void {}
}
vi.stubGlobal("ResizeObserver", Observer);
vi.stubGlobal(
  "IntersectionObserver",
  class extends Observer {
    // All is in sight.
    constructor(seen: (entries: { isIntersecting: boolean }[]) => void) {
      super();
      seen([{ isIntersecting: true }]);
    }
  },
);
vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);

test("the built module shows the rows of the story and lets go of its place", async () => {
  const widget = open() as Widget;
  const channel = new Channel();
  const el = document.createElement("div");
  document.body.append(el);
  widget.initialize({ model: channel });
  const leave = widget.render({ el });
  for (const told of STORY) channel.say(told);
  await new Promise((resolve) => requestAnimationFrame(resolve));
  const last = STORY.at(-1) as Told;
  expect(channel.sent.length).toBeGreaterThan(0);
  expect(el.querySelector("table, [role=grid], [role=table]")).not.toBeNull();
  expect(el.textContent).toContain(String(last.progress.done));
  leave?.();
  expect(el.childElementCount).toBe(0);
});
