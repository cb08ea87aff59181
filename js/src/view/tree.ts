// A JSON document as a tree: only the lines in view are in the page, members come in when they are opened.

import { type JsonNode, type JsonTree, parseJson, pathOf, writtenOut } from "../data/json";
import { scrollTo, visibleRows } from "../draw/layout";
import { attribute, button, h, on, onClick, say, uniqueId } from "./dom";
import { count, neutral, oneLine } from "./format";

const LINE = 19;
const INDENT = 14;
const MOST_INDENTED = 30;
const OPENED = 40;
const SHOWN = 300;

export class TreeView {
  readonly element = h("div", { class: "fr-json" });
  readonly #scroll = h("div", { class: "fr-tree", tabindex: 0, role: "tree", "aria-label": "Body as JSON" });
  readonly #sizer = h("div", { class: "fr-tree-sizer" });
  readonly #search = h("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search the body",
    spellcheck: "false",
  });
  readonly #outcome = h("span", { class: "fr-dim", role: "status" });
  readonly #path = h("code", { class: "fr-path" });
  readonly #value = h("pre", { class: "fr-value", tabindex: 0, "aria-label": "Value", hidden: true });
  readonly #id = uniqueId("fr-json");
  readonly #open = new Set<JsonNode>();
  readonly #lines: HTMLElement[] = [];
  readonly #tree: JsonTree;
  readonly #copy: (text: string) => void;
  #shown: JsonNode[] = [];
  #active: JsonNode;
  #hits: JsonNode[] = [];

  constructor(tree: JsonTree, copy: (text: string) => void) {
    this.#tree = tree;
    this.#copy = copy;
    this.#active = tree.root;
    const bar = h(
      "div",
      { class: "fr-json-bar" },
      this.#search,
      this.#outcome,
      this.#path,
      button("tool", "Copy path", "The way to this value as JMESPath, for --select", () =>
        this.#copy(pathOf(this.#active)),
      ),
      button("tool", "Copy value", "This value as text", () => this.#copy(writtenOut(this.#active))),
    );
    this.#scroll.append(this.#sizer);
    this.element.append(bar, this.#scroll, this.#value);
    this.#listen();
    this.#unfold();
    this.#flatten();
    this.#choose(tree.root);
  }

  /** Draws the lines in view; called when the element stands in the page, and when it was scrolled. */
  draw(): void {
    const height = this.#scroll.clientHeight || LINE * OPENED;
    this.#sizer.style.height = `${this.#shown.length * LINE}px`;
    const slice = visibleRows(this.#shown.length, LINE, this.#scroll.scrollTop, height);
    while (this.#lines.length < slice.last - slice.first) this.#addLine();
    this.#lines.forEach((line, i) => {
      const node = slice.first + i < slice.last ? this.#shown[slice.first + i] : undefined;
      line.hidden = !node;
      if (node) this.#fill(line, node, (slice.first + i) * LINE);
    });
    const at = this.#shown.indexOf(this.#active) - slice.first;
    attribute(
      this.#scroll,
      "aria-activedescendant",
      this.#lines[at] && !this.#lines[at].hidden ? this.#lines[at].id : null,
    );
  }

  #listen(): void {
    on(this.#scroll, "scroll", () => this.draw());
    onClick(this.#scroll, (event) => {
      const line = (event.target as Element).closest<HTMLElement>(".fr-json-line");
      const node = line && this.#shown[Number(line.dataset.at)];
      if (!node) return;
      this.#choose(node);
      if (node.children.length) this.#toggle(node);
      this.draw();
    });
    on(this.#scroll, "keydown", (event) => this.#key(event));
    on(this.#search, "input", () => this.#find());
    on(this.#search, "keydown", (event) => {
      if (event.key !== "Enter") return;
      this.#next(event.shiftKey ? -1 : 1);
      event.preventDefault();
    });
  }

  /** Opens level by level as long as it stays small. */
  #unfold(): void {
    let level = [this.#tree.root];
    let lines = 1;
    while (level.length) {
      const members = level.reduce((sum, node) => sum + node.children.length, 0);
      if (lines + members > OPENED && lines > 1) return;
      for (const node of level) this.#open.add(node);
      lines += members;
      level = level.flatMap((node) => node.children.filter(({ children }) => children.length));
    }
  }

  #flatten(): void {
    const lines: JsonNode[] = [];
    const work = [this.#tree.root];
    for (let node = work.pop(); node; node = work.pop()) {
      lines.push(node);
      if (this.#open.has(node))
        for (let i = node.children.length - 1; i >= 0; i--) work.push(node.children[i] as JsonNode);
    }
    this.#shown = lines;
  }

  #toggle(node: JsonNode, open = !this.#open.has(node)): void {
    if (open) this.#open.add(node);
    else this.#open.delete(node);
    this.#flatten();
  }

  #choose(node: JsonNode): void {
    this.#active = node;
    say(this.#path, oneLine(pathOf(node), 400));
    // A line holds the beginning of a text: the rest of it is read below.
    const long = node.kind === "string" && (node.text.length > 60 || node.text.includes("\n"));
    this.#value.hidden = !long;
    if (long) say(this.#value, neutral(node.text, 70_000));
    const top = scrollTo(
      this.#shown.indexOf(node),
      LINE,
      this.#scroll.scrollTop,
      this.#scroll.clientHeight || LINE,
    );
    if (top !== this.#scroll.scrollTop) this.#scroll.scrollTop = top;
    this.draw();
  }

  #addLine(): void {
    const line = h("div", {
      class: "fr-json-line",
      role: "treeitem",
      id: `${this.#id}-${this.#lines.length}`,
    });
    line.append(h("span", { class: "fr-key" }), h("span", { class: "fr-json-value" }));
    this.#lines.push(line);
    this.#sizer.append(line);
  }

  #fill(line: HTMLElement, node: JsonNode, top: number): void {
    const [name, value] = line.children as unknown as [HTMLElement, HTMLElement];
    const branch = node.children.length > 0;
    line.style.top = `${top}px`;
    line.style.paddingLeft = `${Math.min(node.depth, MOST_INDENTED) * INDENT + 16}px`;
    line.dataset.at = `${top / LINE}`;
    attribute(line, "aria-level", node.depth + 1);
    attribute(line, "aria-expanded", branch ? this.#open.has(node) : null);
    attribute(line, "aria-selected", node === this.#active);
    const label = node.key ?? (node.parent ? `${node.index}` : "");
    say(name, label === "" && !node.parent ? "" : `${oneLine(label, 200)}: `);
    attribute(value, "data-kind", node.kind);
    say(value, summaryOf(node));
  }

  #key(event: KeyboardEvent): void {
    const at = this.#shown.indexOf(this.#active);
    const page = Math.max(1, Math.floor(this.#scroll.clientHeight / LINE) - 1);
    const { children, parent } = this.#active;
    const open = this.#open.has(this.#active);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.#shown.length - 1,
    };
    const wanted = steps[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (wanted !== undefined)
      this.#choose(this.#shown[Math.min(Math.max(wanted, 0), this.#shown.length - 1)] as JsonNode);
    else if (event.key === "Enter" || event.key === " ") this.#toggle(this.#active);
    else if (event.key === "ArrowRight" && children[0])
      open ? this.#choose(children[0]) : this.#toggle(this.#active, true);
    else if (event.key === "ArrowLeft")
      open ? this.#toggle(this.#active, false) : parent && this.#choose(parent);
    else if (event.key !== "ArrowRight") return;
    this.draw();
    event.stopPropagation();
    event.preventDefault();
  }

  #find(): void {
    const text = this.#search.value.trim().toLowerCase();
    const holds = (node: JsonNode) =>
      (node.key ?? "").toLowerCase().includes(text) || node.text.toLowerCase().includes(text);
    this.#hits = text ? this.#tree.nodes.filter(holds) : [];
    say(this.#outcome, text ? "none" : "");
    if (this.#hits.length) this.#show(0);
  }

  #next(step: number): void {
    if (!this.#hits.length) return;
    const at = this.#hits.indexOf(this.#active) + step;
    this.#show((at + this.#hits.length) % this.#hits.length);
  }

  #show(hit: number): void {
    const node = this.#hits[hit] as JsonNode;
    for (let at = node.parent; at; at = at.parent) this.#open.add(at);
    this.#flatten();
    this.#choose(node);
    say(this.#outcome, `${count(hit + 1)} of ${count(this.#hits.length)}`);
  }
}

function summaryOf(node: JsonNode): string {
  const { kind, children } = node;
  if (kind === "string") return `"${oneLine(node.text, SHOWN)}"`;
  if (kind !== "object" && kind !== "array") return oneLine(node.text, SHOWN);
  const [left, right] = kind === "object" ? "{}" : "[]";
  return children.length ? `${left} ${count(children.length)} ${right}` : `${left}${right}`;
}

/** The tree of a text, or null where it is no JSON. */
export function treeOf(text: string, copy: (text: string) => void): TreeView | null {
  const tree = parseJson(text);
  return tree?.root.children.length ? new TreeView(tree, copy) : null;
}
