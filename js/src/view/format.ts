// Numbers and texts for people. Texts from the network are made neutral here before anything draws them.

const GROUPED = new Intl.NumberFormat("en-US");

export function count(value: number): string {
  return GROUPED.format(value);
}

/** Powers of ten, as the closing line of a run writes them. */
export function bytes(value: number): string {
  if (!Number.isFinite(value) || value < 0) return "";
  let size = value;
  for (const unit of ["B", "kB", "MB"]) {
    if (size < 1000) return `${unit === "B" || size >= 10 ? size.toFixed(0) : size.toFixed(1)} ${unit}`;
    size /= 1000;
  }
  return `${size >= 10 ? size.toFixed(0) : size.toFixed(1)} GB`;
}

/** Milliseconds with three significant figures: 0.42 ms, 8.1 ms, 234 ms, 1.23 s, 2 min 5 s. */
export function ms(value: number): string {
  if (!Number.isFinite(value)) return "";
  const size = Math.abs(value);
  if (size < 0.005) return "0 ms";
  if (size < 1) return `${value.toFixed(2)} ms`;
  if (size < 10) return `${value.toFixed(1)} ms`;
  if (size < 999.5) return `${value.toFixed(0)} ms`;
  if (size < 9_995) return `${(value / 1000).toFixed(2)} s`;
  if (size < 99_950) return `${(value / 1000).toFixed(1)} s`;
  return seconds(value / 1000);
}

export function seconds(value: number): string {
  if (!Number.isFinite(value)) return "";
  if (value < 10) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 100) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function rate(value: number): string {
  if (!Number.isFinite(value)) return "0";
  return value >= 100 ? count(Math.round(value)) : value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

/** A label of the time axis, as short as it can be. */
export function tick(valueMs: number): string {
  if (valueMs < 1000) return valueMs ? `${+valueMs.toFixed(2)} ms` : "0";
  return valueMs < 120_000 ? `${+(valueMs / 1000).toFixed(3)} s` : seconds(valueMs / 1000);
}

// Unicode "Cc" but tab and newline; "Cf" (bidirectional marks, zero-width and tag characters); line and paragraph
// separators; lone surrogates; the byte order mark.
const UNSAFE = /[^\P{C}\t\n]|[\u2028\u2029]/gu;

/** Writes each character that could steer a terminal, a bidi algorithm or a reader's eye as a visible code. */
export function neutral(text: string, limit = 2000): string {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return short.replace(UNSAFE, (mark) => {
    const code = mark.codePointAt(0) ?? 0;
    return code < 0x20
      ? String.fromCodePoint(0x2400 + code)
      : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** The same on one line. */
export function oneLine(text: string, limit = 2000): string {
  return neutral(text, limit).replace(/[\t\n]+/g, " ");
}

/** A URL with what tells requests apart in front: the path, and the host behind it where there are several. */
export function shortUrl(url: string, host: string, several: boolean): string {
  if (!host || !url.startsWith(host)) return url;
  return (url.slice(host.length) || "/") + (several ? `  ·  ${host.replace(/^.*\/\//, "")}` : "");
}
