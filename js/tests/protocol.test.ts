import { describe, expect, test } from "vitest";
import { decode, isReply, isRows } from "../src/data/protocol";
import { batchOf, buffersOf, STORY } from "./story";

function plain(columns: Record<string, ArrayLike<number>>): Record<string, (number | null)[]> {
  const names: Record<string, string> = { retryWait: "retry_wait" };
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [
      names[name] ?? name,
      Array.from(column, (value) => (Number.isNaN(value) ? null : value)),
    ]),
  );
}

describe("the contract with the kernel", () => {
  test.each(STORY.map((told, i) => [i, told] as const))(
    "message %i says what Python says it says",
    (_, told) => {
      const batch = batchOf(told);
      expect(plain(batch.rows)).toEqual(told.expected.rows);
      expect(plain(batch.attempts)).toEqual(told.expected.attempts);
    },
  );

  test("a buffer may begin anywhere in a frame", () => {
    const [told] = STORY;
    if (!told) throw new Error("no story");
    const moved = buffersOf(told).map((view) => {
      const bytes = new Uint8Array(view.byteLength + 3);
      bytes.set(new Uint8Array(view.buffer), 3);
      return new DataView(bytes.buffer, 3);
    });
    expect(plain(decode(told, moved).rows)).toEqual(told.expected.rows);
  });

  test("a torn batch is refused", () => {
    const [told] = STORY;
    if (!told) throw new Error("no story");
    expect(() => decode({ ...told, count: told.count + 1 }, buffersOf(told))).toThrow();
    expect(() => decode(told, [])).toThrow();
  });

  test("messages of other kinds and versions are left alone", () => {
    expect(isRows({ kind: "rows", v: 2 })).toBe(false);
    expect(isRows(null)).toBe(false);
    expect(isReply({ kind: "rows", v: 1 })).toBe(false);
  });
});
