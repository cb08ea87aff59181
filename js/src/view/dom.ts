// Elements without innerHTML: whatever came from the network can only become text.

type Attributes = Record<string, string | number | boolean>;
type Child = Node | string | null;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : `${value}`);
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

const PAGE = globalThis as unknown as Record<symbol, number | undefined>;
const IDS = Symbol.for("fastreq.ids");

/** An id that nothing else in the page has: a module may be loaded once for each widget, so the count is the page's. */
export function uniqueId(prefix: string): string {
  const number = (PAGE[IDS] ?? 0) + 1;
  PAGE[IDS] = number;
  return `${prefix}-${number}`;
}

/** Writes a text only where it differs: an untouched node costs no layout. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function attribute(element: Element, name: string, value: string | number | boolean | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== `${value}`) element.setAttribute(name, `${value}`);
}

/** A canvas as large as its element, in device pixels; the context draws in CSS pixels. Null where none can be had. */
export function surface(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): CanvasRenderingContext2D | null {
  const ratio = globalThis.devicePixelRatio || 1;
  const [w, t] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== t) {
    canvas.width = w;
    canvas.height = t;
  }
  const ink = canvas.getContext("2d");
  ink?.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink?.clearRect(0, 0, width, height);
  return ink;
}

/** Listens; a shorter word for the many places that do. */
export function on<K extends keyof HTMLElementEventMap>(
  element: HTMLElement,
  type: K,
  listener: (event: HTMLElementEventMap[K]) => void,
): void {
  element.addEventListener(type, listener as EventListener, { passive: false });
}

const A_DRAG = 3;

/** Listens to clicks, but for those that end a selection of text: the reader wants to copy it. What was selected before is none. */
export function onClick(element: HTMLElement, listener: (event: MouseEvent) => void): void {
  let [x, y] = [0, 0];
  on(element, "pointerdown", (event) => {
    [x, y] = [event.clientX, event.clientY];
  });
  on(element, "click", (event) => {
    const dragged = event.detail > 0 && Math.hypot(event.clientX - x, event.clientY - y) > A_DRAG;
    if (!dragged || getSelection()?.isCollapsed !== false) listener(event);
  });
}

/** A button; `hint` is its tooltip, and its name where the label is only a sign. */
export function button(kind: string, label: string, hint: string, action: () => void): HTMLButtonElement {
  const element = h("button", { type: "button", class: `fr-${kind}`, title: hint }, label);
  if (label.length < 2) element.setAttribute("aria-label", hint);
  on(element, "click", action);
  return element;
}
