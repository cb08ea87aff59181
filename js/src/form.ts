// Stands in the form, whose controls are widgets of others: keeps its keys from the notebook, and says when it is dead.

const GONE = "Not connected to a kernel: this form cannot send. Run its cell again for a new one.";

export default {
  render({ el }: { el: HTMLElement }): () => void {
    const gone = document.createElement("p");
    gone.className = "fastreq-gone";
    gone.textContent = GONE;
    el.append(gone);
    // On the document: this element may not stand in the form yet. Shortcuts ask the focused element first.
    const keep = ({ target }: FocusEvent): void => {
      const place = target as Element;
      if (place.closest(".fastreq-panel")) place.setAttribute("data-lm-suppress-shortcuts", "true");
    };
    document.addEventListener("focusin", keep);
    return () => document.removeEventListener("focusin", keep);
  },
};
