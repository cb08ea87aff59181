// The widget's page part: one Store for each model, listening from `initialize` on, and a View for each place it is shown.

import { type Channel, Store } from "./data/store";
import { View } from "./view/view";

export default () => {
  let store: Store | undefined;
  return {
    initialize({ model }: { model: Channel }): void {
      store = new Store(model);
      store.start();
    },
    render({ el }: { el: HTMLElement }): (() => void) | undefined {
      if (!store) return undefined;
      const view = new View(store, el);
      return () => view.dispose();
    },
  };
};
