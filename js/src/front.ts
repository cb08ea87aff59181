// What each panel carries with it: it gets the panel's code from the one model that holds it for all panels of a notebook.

interface Model {
  get(name: string): unknown;
  widget_manager: { get_model(id: string): Promise<Held> };
}
interface Widget {
  initialize(props: { model: Model }): void;
  render(props: { model: Model; el: HTMLElement }): unknown;
}
type Front = { default: (styles: string) => Widget };
type Held = { get(name: string): unknown };

const PAGE = globalThis as unknown as Record<symbol, Map<string, Promise<() => Widget>> | undefined>;
const KEY = Symbol.for("fastreq.front");
const STEP_MS = 50;
const STEPS = 400;

/** Models of a notebook come in any order: that of the code may be the last. */
async function holderOf(model: Model): Promise<Held> {
  for (let step = 0; step < STEPS; step++) {
    try {
      const held = await model.widget_manager.get_model(`${model.get("front")}`);
      if (held.get("code")) return held;
    } catch {
      // Not there yet.
    }
    await new Promise((resume) => setTimeout(resume, STEP_MS));
  }
  throw new Error("the panel's code is not in this notebook: run the cell again");
}

async function imported(held: Held): Promise<() => Widget> {
  const place = URL.createObjectURL(new Blob([`${held.get("code")}`], { type: "text/javascript" }));
  try {
    const front = (await import(place)) as Front;
    return () => front.default(`${held.get("styles")}`);
  } finally {
    URL.revokeObjectURL(place);
  }
}

function loaded(model: Model): Promise<() => Widget> {
  PAGE[KEY] ??= new Map();
  const held = PAGE[KEY];
  const id = `${model.get("front")}`;
  const found = held.get(id) ?? holderOf(model).then(imported);
  held.set(id, found);
  found.catch(() => held.delete(id));
  return found;
}

export default () => {
  let made: Promise<Widget> | undefined;
  const widget = (model: Model): Promise<Widget> => {
    made ??= loaded(model).then((make) => {
      const instance = make();
      instance.initialize({ model });
      return instance;
    });
    return made;
  };
  return {
    // Not awaited: a page that waits for one model before it makes the next would never make the one with the code.
    initialize({ model }: { model: Model }): void {
      void widget(model);
    },
    async render(props: { model: Model; el: HTMLElement }): Promise<unknown> {
      return (await widget(props.model)).render(props);
    },
  };
};
