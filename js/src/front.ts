// What each panel carries with it: it gets the panel's code from the one model that holds it for all panels of a notebook.

interface Held {
  get(name: string): string;
}
interface Model extends Held {
  widget_manager: { get_model(id: string): Promise<Held> };
}
interface Widget {
  initialize(props: { model: Model }): void;
  render(props: { model: Model; el: HTMLElement }): unknown;
}
type Make = (styles: string) => Widget;

const page = globalThis as unknown as { fastreq_front?: Record<string, Promise<Make>> };

/** Models of a notebook come in any order: that of the code may be the last. */
async function load(model: Model, tries = 200): Promise<Make> {
  try {
    const held = await model.widget_manager.get_model(model.get("front"));
    const code = new Blob([held.get("code")], { type: "text/javascript" });
    const { default: make } = await import(URL.createObjectURL(code));
    return () => make(held.get("styles"));
  } catch (error) {
    if (!tries) throw error;
    await new Promise((resume) => setTimeout(resume, 100));
    return load(model, tries - 1);
  }
}

export default () => {
  let created: Promise<Widget> | undefined;
  const widget = async (model: Model): Promise<Widget> => {
    page.fastreq_front ??= {};
    const front = page.fastreq_front;
    const id = model.get("front");
    front[id] ??= load(model);
    const make = await front[id];
    const instance = make("");
    instance.initialize({ model });
    return instance;
  };
  return {
    // Not awaited: a page that waits for one model before it makes the next would never make the one with the code.
    initialize({ model }: { model: Model }): void {
      created = widget(model);
    },
    render: async (props: { model: Model; el: HTMLElement }) => (await created)?.render(props),
  };
};
