// @vitest-environment jsdom
import { beforeEach, describe, expect, test, vi } from "vitest";
import { parseJson, pathOf, writtenOut } from "../src/data/json";
import { treeOf } from "../src/view/tree";

const ORDER =
  '{"id": 12345678901234567890, "lines": [{"sku": "P\\u002d1", "a b": null}, {"sku": "P2"}], "x": {}, "x": 1.50}';

function node(text: string, ...way: number[]) {
  let at = parseJson(text)?.root;
  for (const place of way) at = at?.children[place];
  if (!at) throw new Error("no such node");
  return at;
}

describe("a document", () => {
  test("keeps what stands there: long numbers, equal keys, the last zero", () => {
    expect(node(ORDER).children.map(({ key, text }) => [key, text])).toEqual([
      ["id", "12345678901234567890"],
      ["lines", ""],
      ["x", ""],
      ["x", "1.50"],
    ]);
    expect(node(ORDER, 1, 0, 0).text).toBe("P-1");
  });

  test("has a way to each value, as JMESPath", () => {
    expect(pathOf(node(ORDER))).toBe("@");
    expect(pathOf(node(ORDER, 1, 1, 0))).toBe("lines[1].sku");
    expect(pathOf(node(ORDER, 1, 0, 1))).toBe('lines[0]."a b"');
    expect(pathOf(node('[[1], {"a": 2}]', 1, 0))).toBe("[1].a");
  });

  test("is written out as it was", () => {
    for (const text of [ORDER, "[]", '{"a":{"b":[1,"x\\n\\"",true]}}', "7"]) {
      const tree = parseJson(text);
      if (!tree) throw new Error(text);
      expect(JSON.parse(writtenOut(tree.root))).toEqual(JSON.parse(text));
    }
    expect(writtenOut(node(ORDER, 1, 1, 0))).toBe("P2");
  });

  test("that was cut anywhere shows what came", () => {
    for (let end = 1; end < ORDER.length; end++) {
      const tree = parseJson(ORDER.slice(0, end));
      expect(tree?.cut, ORDER.slice(0, end)).toBe(true);
    }
    expect(parseJson(ORDER)?.cut).toBe(false);
  });

  test("that is none is no tree", () => {
    for (const text of ["", "   ", "{]", "[1} 2", '{"a" 1}', "<html>", "[1] x", "[}"])
      expect(parseJson(text), text).toBeNull();
  });

  test("may be of any depth", () => {
    const deep = parseJson("[".repeat(100_000) + "]".repeat(100_000));
    expect(deep?.nodes).toHaveLength(100_000);
    expect(writtenOut(deep?.nodes[99_000] as never).length).toBeGreaterThan(2000);
  });
});

describe("the tree", () => {
  let copied: ReturnType<typeof vi.fn<(text: string) => void>>;

  beforeEach(() => {
    document.body.replaceChildren();
    copied = vi.fn<(text: string) => void>();
  });

  function shown(text: string) {
    const tree = treeOf(text, copied);
    if (!tree) throw new Error("no tree");
    document.body.append(tree.element);
    tree.draw();
    return tree;
  }
  const lines = () =>
    [...document.querySelectorAll<HTMLElement>(".fr-json-line")]
      .filter(({ hidden }) => !hidden)
      .map(({ textContent }) => textContent);
  const press = (key: string) =>
    document.querySelector(".fr-tree")?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const button = (name: string) =>
    [...document.querySelectorAll("button")].find(({ textContent }) => textContent === name)?.click();
  const search = (text: string) => {
    const field = document.querySelector("input") as HTMLInputElement;
    field.value = text;
    field.dispatchEvent(new Event("input"));
    return field;
  };

  test("opens what is small, is walked by keys, and copies a value and the way to it", () => {
    shown(ORDER);
    expect(lines()).toContain('sku: "P2"');
    press("ArrowDown");
    press("ArrowDown");
    expect(document.querySelector(".fr-path")?.textContent).toBe("lines");
    press("ArrowLeft");
    expect(lines()).not.toContain('sku: "P2"');
    press("ArrowRight");
    press("ArrowRight");
    press("ArrowRight");
    button("Copy path");
    button("Copy value");
    expect(copied.mock.calls).toEqual([["lines[0].sku"], ["P-1"]]);
  });

  test("finds keys and values, one after the other, wherever they are folded", () => {
    shown(
      JSON.stringify({
        a: Array.from({ length: 500 }, (_, i) => ({ name: `row ${i}`, deep: { needle: i } })),
      }),
    );
    const field = search("NEEDLE");
    expect(document.querySelector("[role=status]")?.textContent).toBe("1 of 500");
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(document.querySelector(".fr-path")?.textContent).toBe("a[1].deep.needle");
    search("nowhere");
    expect(document.querySelector("[role=status]")?.textContent).toBe("none");
  });

  test("of 100,000 members, or 1,000 levels, holds no more lines in the page than are seen", () => {
    shown(JSON.stringify(Array.from({ length: 100_000 }, (_, i) => i)));
    expect(document.querySelectorAll(".fr-json-line").length).toBeLessThan(60);
    press("End");
    expect(document.querySelector(".fr-path")?.textContent).toBe("[99999]");
    document.body.replaceChildren();
    shown(`${"[".repeat(1000)}1${"]".repeat(1000)}`);
    search("1");
    expect(document.querySelectorAll(".fr-json-line").length).toBeLessThan(60);
  });

  test("shows what is hostile as text, a megabyte by its beginning", () => {
    shown(
      JSON.stringify({
        "<img src=x onerror=alert(1)>\u202e": `<script>alert(1)</script>\u001b[31m${"y".repeat(1e6)}`,
      }),
    );
    press("ArrowDown");
    expect(document.querySelector("img, script")).toBeNull();
    expect(document.body.textContent).not.toContain("\u202e");
    expect(document.body.textContent).not.toContain("\u001b");
    expect(document.body.textContent?.length).toBeLessThan(80_000);
  });
});
