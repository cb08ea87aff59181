// JSON as a tree that keeps what stands there: numbers of any length, equal keys, and the beginning of a text that was cut.
// Without recursion: it may be of any depth.

export interface JsonNode {
  kind: "object" | "array" | "string" | "number" | "word";
  /** Name in the object around it, null in a list and at the root. */
  key: string | null;
  /** Place in what is around it. */
  index: number;
  parent: JsonNode | null;
  depth: number;
  /** A string without its quotes, or a number or word as it stands; empty for what has members. */
  text: string;
  children: JsonNode[];
}

export interface JsonTree {
  root: JsonNode;
  /** All nodes in the order of the text. */
  nodes: JsonNode[];
  /** The text ended before the document did. */
  cut: boolean;
}

const SPACE = /[ \t\r\n]*/y;
const WORD = /[\w.+-]+/y;
const NUMBER = /^-?\d[\d.eE+-]*$/;

/** Reads a document, or as much of it as there is; null for what is none. */
export function parseJson(text: string): JsonTree | null {
  return new Reader(text).tree();
}

class Reader {
  readonly #text: string;
  readonly #nodes: JsonNode[] = [];
  #at = 0;
  #around: JsonNode | null = null;
  #key: string | null = null;
  #cut = false;

  constructor(text: string) {
    this.#text = text;
  }

  tree(): JsonTree | null {
    while (this.#step());
    const [root] = this.#nodes;
    const whole = this.#at >= this.#text.length;
    this.#cut ||= this.#around !== null;
    return root && whole ? { root, nodes: this.#nodes, cut: this.#cut } : null;
  }

  /** Takes one token; false at the end, and where none can stand. */
  #step(): boolean {
    this.#skip(SPACE);
    const sign = this.#text[this.#at];
    if (sign === undefined) return false;
    if (this.#nodes.length && !this.#around) return false;
    this.#at++;
    if (sign === "{" || sign === "[") this.#around = this.#put(sign === "{" ? "object" : "array", "");
    else if (sign === "}" || sign === "]") return this.#close(sign);
    else if (sign === '"') return this.#string();
    else if (sign !== ",") return this.#word();
    return true;
  }

  #close(sign: string): boolean {
    const fits = this.#around?.kind === (sign === "}" ? "object" : "array");
    if (fits) this.#around = this.#around?.parent ?? null;
    else this.#at--;
    return fits;
  }

  #string(): boolean {
    const begin = this.#at - 1;
    let end = this.#at;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === "\\" ? 2 : 1;
    const closed = end < this.#text.length;
    this.#at = Math.min(end + 1, this.#text.length);
    this.#cut ||= !closed;
    const value = unquoted(this.#text.slice(begin + 1, Math.min(end, this.#text.length)));
    this.#skip(SPACE);
    const named = this.#around?.kind === "object" && this.#key === null;
    if (!named) this.#put("string", value);
    else if (this.#text[this.#at] === ":") {
      this.#key = value;
      this.#at++;
    } else return this.#at >= this.#text.length;
    return true;
  }

  #word(): boolean {
    this.#at--;
    const word = this.#skip(WORD);
    if (!word || (this.#around?.kind === "object" && this.#key === null)) return false;
    this.#put(NUMBER.test(word) ? "number" : "word", word);
    return true;
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += match.length;
    return match;
  }

  #put(kind: JsonNode["kind"], text: string): JsonNode {
    const parent = this.#around;
    const node: JsonNode = {
      kind,
      key: this.#key,
      index: parent?.children.length ?? 0,
      parent,
      depth: parent ? parent.depth + 1 : 0,
      text,
      children: [],
    };
    this.#key = null;
    parent?.children.push(node);
    this.#nodes.push(node);
    return node;
  }
}

function unquoted(text: string): string {
  if (!text.includes("\\")) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}

const NAME = /^[A-Za-z_]\w*$/;

/** The way to a node as JMESPath, as `--select` takes it; `@` for the whole. */
export function pathOf(node: JsonNode): string {
  const steps: string[] = [];
  for (let at = node; at.parent; at = at.parent) {
    const { key, index } = at;
    if (key === null) steps.push(`[${index}]`);
    else steps.push(NAME.test(key) ? key : JSON.stringify(key));
  }
  const [first = "@", ...more] = steps.reverse();
  return more.reduce((path, step) => path + (step.startsWith("[") ? step : `.${step}`), first);
}

/** A value as it would be written: a string alone without quotes, all else as JSON, by two spaces. */
export function writtenOut(node: JsonNode): string {
  if (node.kind === "string") return node.text;
  const parts: string[] = [];
  // What is to be written, the next one last.
  const work: (JsonNode | string)[] = [node];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    if (typeof item === "string") parts.push(item);
    else if (item.kind === "object" || item.kind === "array") open(item, node.depth, work);
    else parts.push(item.kind === "string" ? JSON.stringify(item.text) : item.text);
  }
  return parts.join("");
}

function open(node: JsonNode, base: number, work: (JsonNode | string)[]): void {
  const [left, right] = node.kind === "object" ? ["{", "}"] : ["[", "]"];
  const { children } = node;
  if (!children.length) {
    work.push(left + right);
    return;
  }
  const line = `\n${"  ".repeat(Math.min(node.depth - base, 100))}`;
  work.push(line + right);
  for (let i = children.length - 1; i >= 0; i--) {
    const child = children[i] as JsonNode;
    const name = child.key === null ? "" : `${JSON.stringify(child.key)}: `;
    work.push(child, `${i ? "," : left}${line}  ${name}`);
  }
}
