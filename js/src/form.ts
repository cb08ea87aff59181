// Stands in the form, whose controls are widgets of others: keeps its keys from the notebook, ties words to controls for a
// screen reader, copies the cell, and says when it is dead.

import { uniqueId } from "./view/dom";

const GONE = "Not connected to a kernel: this form cannot send. Run its cell again for a new one.";

/** Ties what stands below a control to it, and tells whether the options are unfolded. */
function describe(control: Element): void {
  const field = control.closest(".fastreq-field");
  const said = field?.querySelector(".fastreq-said");
  if (field && said) {
    said.id ||= uniqueId("fastreq-said");
    control.setAttribute("aria-describedby", said.id);
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

export default {
  render({ el }: { el: HTMLElement }): () => void {
    const gone = document.createElement("p");
    gone.className = "fastreq-gone";
    gone.textContent = GONE;
    el.append(gone);
    const keep = ({ target }: Event): void => {
      const place = target as HTMLElement;
      const panel = place.closest(".fastreq-panel");
      if (panel?.contains(el)) {
        place.setAttribute("data-lm-suppress-shortcuts", "true");
        describe(place);
      }
    };
    const pressed = ({ target }: Event): void => {
      const button = (target as Element).closest<HTMLElement>(".fastreq-copy, .fastreq-more");
      if (!button?.closest(".fastreq-panel")?.contains(el)) return;
      if (button.matches(".fastreq-copy")) void copy(button);
      // The widget changes its class in its own listener.
      else setTimeout(() => describe(button));
    };
    // On the document: this element may not stand in the form yet. Shortcuts ask the focused element first.
    document.addEventListener("focusin", keep);
    document.addEventListener("click", pressed);
    return () => {
      document.removeEventListener("focusin", keep);
      document.removeEventListener("click", pressed);
    };
  },
};
