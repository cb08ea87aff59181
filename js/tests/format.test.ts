import { describe, expect, test } from "vitest";
import { bytes, count, ms, neutral, oneLine, rate, seconds, shortUrl, tick } from "../src/view/format";

test.each([
  [0, "0 ms"],
  [0.004, "0 ms"],
  [0.42, "0.42 ms"],
  [8.14, "8.1 ms"],
  [234.4, "234 ms"],
  [999.6, "1.00 s"],
  [1234, "1.23 s"],
  [12_340, "12.3 s"],
  [125_000, "2 min 5 s"],
  [Number.NaN, ""],
])("%f milliseconds are written %s", (value, text) => {
  expect(ms(value)).toBe(text);
});

test.each([
  [9.94, "9.9 s"],
  [59.6, "60 s"],
  [125, "2 min 5 s"],
  [11_520, "3 h 12 min"],
])("%f seconds are written %s", (value, text) => {
  expect(seconds(value)).toBe(text);
});

test.each([
  [980, "980 B"],
  [1400, "1.4 kB"],
  [12_000_000, "12 MB"],
  [1_400_000_000, "1.4 GB"],
  [5e12, "5000 GB"],
  [Number.NaN, ""],
])("%f bytes are written %s", (value, text) => {
  expect(bytes(value)).toBe(text);
});

test("counts are grouped and rates rounded", () => {
  expect(count(4997)).toBe("4,997");
  expect([rate(3.14), rate(31.4), rate(3141.5), rate(Number.NaN)]).toEqual(["3.1", "31", "3,142", "0"]);
});

test.each([
  [0, "0"],
  [0.25, "0.25 ms"],
  [500, "500 ms"],
  [1500, "1.5 s"],
  [2000, "2 s"],
  [1250, "1.25 s"],
  [150_000, "2 min 30 s"],
])("the tick at %f ms is %s", (value, text) => {
  expect(tick(value)).toBe(text);
});

describe("texts from the network", () => {
  test("controls, escapes, bidirectional marks and zero-width characters become visible", () => {
    expect(neutral("a\x1b[31mb\u202ec\u200bd\ufeff\x00\r")).toBe("a␛[31mb⟨U+202E⟩c⟨U+200B⟩d⟨U+FEFF⟩␀␍");
  });

  test("letters, emoji and line ends of other scripts stay as they are", () => {
    expect(neutral("Grüße, 日本 🎉\n\tעברית")).toBe("Grüße, 日本 🎉\n\tעברית");
  });

  test("lone surrogates and line separators become visible", () => {
    expect(neutral("\ud800x\u2028")).toBe("⟨U+D800⟩x⟨U+2028⟩");
  });

  test("a megabyte is cut", () => {
    expect(oneLine("x".repeat(1_000_000)).length).toBe(2001);
  });

  test("one line has no line ends", () => {
    expect(oneLine("a\n\n\tb")).toBe("a b");
  });
});

test("a URL is shown without the host that is the same for all", () => {
  expect(shortUrl("https://a.example/x?y=1", "https://a.example", false)).toBe("/x?y=1");
  expect(shortUrl("https://a.example", "https://a.example", false)).toBe("/");
  expect(shortUrl("https://b.example/x", "https://a.example", false)).toBe("https://b.example/x");
  expect(shortUrl("https://a.example/x", "https://a.example", true)).toBe("/x  ·  a.example");
});
