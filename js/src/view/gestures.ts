// What pointer, wheel and keys do to a view.

import type { Lane } from "../draw/lane";
import { toTime } from "../draw/layout";
import { attribute, on } from "./dom";
import type { RowTable } from "./table";

/** What can be done to a view by hand, besides the lane's own doings. */
export interface Steering {
  fit(): void;
  /** Keep the rows of the stretch of time that is shown. */
  choose(): void;
  /** The row under the pointer, null for none. */
  hover(row: number | null, event: MouseEvent): void;
  search(): void;
  /** Goes to the row before or behind in the details. */
  step(by: number): void;
  close(): void;
}

export function listen(root: HTMLElement, table: RowTable, lane: Lane, view: Steering): void {
  const area = table.element;
  /** Pixels from the left edge of the waterfall; not a number beside it. */
  const laneX = (event: MouseEvent): number => {
    const { left, width } = table.lane();
    const x = event.clientX - table.frame.getBoundingClientRect().left - left;
    return x >= 0 && x <= width ? x : Number.NaN;
  };
  on(area, "wheel", (event) => {
    const x = laneX(event);
    if (Number.isNaN(x) || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    lane.zoom(event.deltaY < 0 ? 1.25 : 0.8, toTime(lane.scale(), x));
  });
  on(area, "pointermove", (event) => {
    const y = event.clientY - table.frame.getBoundingClientRect().top;
    view.hover(Number.isNaN(laneX(event)) ? null : table.rowAt(y), event);
  });
  on(area, "pointerleave", (event) => view.hover(null, event));
  on(area, "pointerdown", (event) => {
    if (laneX(event) >= 0 && event.button === 0) drag(lane, event);
  });
  on(root, "keydown", (event) => key(root, lane, view, event));
  // A page that looks for its shortcuts on the way down asks the focused element first, not those around it.
  on(root, "focusin", ({ target }) => attribute(target as Element, "data-lm-suppress-shortcuts", "true"));
}

/** Dragging on the bars moves the stretch of time that is shown; a click is not a drag. */
function drag(lane: Lane, event: PointerEvent): void {
  const began = lane.scale().domain;
  const end = new AbortController();
  let moving = false;
  const move = (step: PointerEvent): void => {
    const pixels = step.clientX - event.clientX;
    moving ||= Math.abs(pixels) > 3;
    if (moving) lane.dragTo(began, pixels);
  };
  addEventListener("pointermove", move, { signal: end.signal });
  addEventListener("pointerup", () => setTimeout(() => end.abort()), { signal: end.signal });
  // The browser took the gesture over, for scrolling by touch: no pointerup will come.
  addEventListener("pointercancel", () => end.abort(), { signal: end.signal });
  // The click that ends a drag would open a row.
  const click = (last: Event): void => {
    if (moving) last.stopPropagation();
  };
  addEventListener("click", click, { signal: end.signal, capture: true });
}

function key(root: HTMLElement, lane: Lane, view: Steering, event: KeyboardEvent): void {
  const typing = (event.target as Element).matches("input, select, textarea");
  event.stopPropagation();
  const held = event.ctrlKey || event.metaKey;
  if (held && event.key === "s") {
    // Saving is the page's business wherever the focus is: it hears it from where nothing is kept from it.
    root.parentElement?.dispatchEvent(new KeyboardEvent("keydown", event));
    event.preventDefault();
  }
  if (typing || held || event.altKey) return;
  const actions: Record<string, () => void> = {
    "+": () => lane.zoom(2),
    "=": () => lane.zoom(2),
    "-": () => lane.zoom(0.5),
    "0": () => view.fit(),
    w: () => view.choose(),
    ArrowLeft: () => lane.pan(-0.2),
    ArrowRight: () => lane.pan(0.2),
    "/": () => view.search(),
    "[": () => view.step(-1),
    "]": () => view.step(1),
    Escape: () => view.close(),
  };
  const action = actions[event.key];
  if (!action) return;
  action();
  event.preventDefault();
}
