// The widget's page part: one Store for each model, listening from `initialize` on, and a View for each place it is shown.

import { type Channel, Store } from "./data/store";
import { View } from "./view/view";

let sheet: CSSStyleSheet | null = null;

/** Puts the styles, once, into the document or shadow root that the element stands in. */
function styled(element: HTMLElement, styles: string): void {
  const root = element.getRootNode();
  // In marimo the widget's own style sheet is there already.
  if (!styles || !(root instanceof Document || root instanceof ShadowRoot)) return;
  sheet ??= new CSSStyleSheet();
  if (!sheet.cssRules.length) sheet.replaceSync(styles);
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
}

export default (styles = "") => {
  let store: Store | undefined;
  return {
    initialize({ model }: { model: Channel }): void {
      store = new Store(model);
      void store.start();
    },
    render({ el }: { el: HTMLElement }): (() => void) | undefined {
      if (!store) return undefined;
      const view = new View(store, el, (element) => styled(element, styles));
      return () => view.dispose();
    },
  };
};
