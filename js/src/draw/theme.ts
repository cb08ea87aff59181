// Colours for the canvases, from the same custom properties as the style sheet's; light or dark is told by looking at the page.

const NAMES = [
  "bg",
  "text",
  "dim",
  "line",
  "accent",
  "ok",
  "failed",
  "waiting",
  "queued",
  "dns",
  "connect",
  "tls",
  "other",
  "wait",
  "receive",
  "live",
  "select",
] as const;

export type Theme = Record<(typeof NAMES)[number], string> & { font: string };

export function readTheme(element: Element): Theme {
  const style = getComputedStyle(element);
  const colours = NAMES.map((name) => [name, style.getPropertyValue(`--fr-${name}`).trim() || "#888"]);
  return { ...Object.fromEntries(colours), font: `11px ${style.fontFamily || "sans-serif"}` };
}

/** Whether the place is light or dark: by the first background behind it, whatever set that, also around a shadow root. */
export function lookOf(element: Element): "light" | "dark" {
  for (let at = behind(element); at; at = behind(at)) {
    const shade = luminance(getComputedStyle(at).backgroundColor);
    if (shade !== null) return shade < 0.4 ? "dark" : "light";
  }
  const scheme = getComputedStyle(document.documentElement).colorScheme ?? "";
  const wanted = globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches;
  return scheme.includes("dark") && (wanted || !scheme.includes("light")) ? "dark" : "light";
}

function behind(element: Element): Element | null {
  const around = element.parentNode;
  return around instanceof ShadowRoot ? around.host : element.parentElement;
}

/** From 0 to 1; null for what lets through what is behind it. Written by whatever colour space: the browser paints it. */
function luminance(colour: string): number | null {
  if (!colour || colour === "transparent") return null;
  const ink = probe.getContext("2d", { willReadFrequently: true });
  const [r = 0, g = 0, b = 0, a = 0] = ink ? painted(ink, colour) : written(colour);
  return a < 128 ? null : (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

const probe = document.createElement("canvas");
probe.width = probe.height = 1;

function painted(ink: CanvasRenderingContext2D, colour: string): Uint8ClampedArray {
  ink.clearRect(0, 0, 1, 1);
  ink.fillStyle = colour;
  ink.fillRect(0, 0, 1, 1);
  return ink.getImageData(0, 0, 1, 1).data;
}

function written(colour: string): number[] {
  const [r = 0, g = 0, b = 0, a = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return [r, g, b, a * 255];
}

/** Calls back when the page's theme changes; returns what ends that. */
export function onTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  for (const element of [document.body, document.documentElement])
    observer.observe(element, { attributes: true });
  const media = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) =>
    globalThis.matchMedia?.(query),
  );
  for (const query of media) query?.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    for (const query of media) query?.removeEventListener("change", changed);
  };
}
