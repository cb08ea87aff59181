// Stands in the form, whose controls are widgets of others: keeps its keys from the notebook, ties words to controls for a
// screen reader, copies the cell, and says when it is dead.

import { uniqueId } from "./view/dom";

const GONE = "Not connected to a kernel: this form cannot send. Run its cell again for a new one.";

/** Ties what stands below a control to it, and tells whether the options are unfolded. */
function describe(control: Element): void {
  const field = control.closest(".fastreq-field");
  const help = field?.querySelector(".fastreq-said");
  if (field && help) {
    help.id ||= uniqueId("fastreq-said");
    control.setAttribute("aria-describedby", help.id);
    control.setAttribute("aria-invalid", String(field.classList.contains("fastreq-wrong")));
  }
  if (control.matches(".fastreq-more"))
    control.setAttribute("aria-expanded", String(control.classList.contains("mod-active")));
}

async function copy(button: HTMLElement): Promise<void> {
  const place = button.closest(".fastreq-aside")?.querySelector(".fastreq-cell");
  if (!place) return;
  try {
    await navigator.clipboard.writeText(place.textContent ?? "");
    button.textContent = "Copied";
  } catch {
    // No clipboard without https: marked, it is one key away.
    getSelection()?.selectAllChildren(place);
    button.textContent = "Press Ctrl+C";
  }
}

/** What JupyterLab and Notebook 7 do when something with this on it is clicked, in a place that they trust. */
function command(place: Element, name: string, args: Record<string, string> = {}): void {
  const link = document.createElement("a");
  link.dataset.commandlinkerCommand = name;
  link.dataset.commandlinkerArgs = JSON.stringify(args);
  place.append(link);
  link.click();
  link.remove();
}

const cellsOf = (notebook: Element): number => notebook.querySelectorAll(".jp-Cell").length;
const soon = (): Promise<unknown> => new Promise((resume) => setTimeout(resume, 100));

/** Puts a cell below the one in which the form stands; tells whether that was possible. */
async function inserted(el: HTMLElement, text: string): Promise<boolean> {
  const notebook = el.closest(".jp-Notebook");
  // The button made its cell the active one; in an output view, or another notebook in front, nothing is put anywhere.
  if (!notebook || !el.closest(".jp-Cell.jp-mod-active")) return false;
  const before = cellsOf(notebook);
  command(el, "notebook:insert-cell-below");
  // In a notebook that is not trusted the page asks first.
  for (let i = 0; i < 600 && cellsOf(notebook) === before; i++) await soon();
  if (cellsOf(notebook) === before) return false;
  command(el, "notebook:replace-selection", { text });
  return true;
}

interface Channel {
  on(event: string, listener: (content: { kind?: string; text?: string }) => void): void;
  off(event: string, listener: unknown): void;
}

export default {
  render({ el, model }: { el: HTMLElement; model: Channel }): () => void {
    // All views of a form hear it: only the one whose button was pressed acts.
    let pressedHere = false;
    const receive = async ({ kind, text }: { kind?: string; text?: string }): Promise<void> => {
      if (kind !== "cell" || !pressedHere) return;
      pressedHere = false;
      if (!(await inserted(el, text ?? ""))) return;
      const place = el.closest(".fastreq-panel")?.querySelector(".fastreq-aside");
      place?.classList.add("fastreq-below");
    };
    model.on("msg:custom", receive);
    const notice = document.createElement("p");
    notice.className = "fastreq-gone";
    notice.textContent = GONE;
    el.append(notice);
    const keep = ({ target }: Event): void => {
      const place = target as HTMLElement;
      const panel = place.closest(".fastreq-panel");
      if (panel?.contains(el)) {
        place.setAttribute("data-lm-suppress-shortcuts", "true");
        describe(place);
      }
    };
    const pressed = ({ target }: Event): void => {
      const button = (target as Element).closest<HTMLElement>("button");
      const panel = button?.closest(".fastreq-panel");
      if (!button || !panel?.contains(el)) return;
      // Whatever is shown after this click is not what was put below.
      if (button.closest(".fastreq-buttons"))
        panel.querySelector(".fastreq-aside")?.classList.remove("fastreq-below");
      if (button.matches(".fastreq-tocell")) pressedHere = true;
      if (button.matches(".fastreq-copy")) void copy(button);
      // The widget changes its class in its own listener.
      else if (button.matches(".fastreq-more")) setTimeout(() => describe(button));
    };
    // On the document: this element may not stand in the form yet. Shortcuts ask the focused element first.
    document.addEventListener("focusin", keep);
    document.addEventListener("click", pressed);
    return () => {
      model.off("msg:custom", receive);
      document.removeEventListener("focusin", keep);
      document.removeEventListener("click", pressed);
    };
  },
};
