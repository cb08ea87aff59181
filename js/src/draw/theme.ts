// Colours for the canvases, from the same custom properties as the style sheet's.

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

/** Calls back when the page's theme changes; returns what ends that. */
export function onTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, { attributes: true });
  const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
  dark?.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    dark?.removeEventListener("change", changed);
  };
}
