// Columns of numbers under names: read out of a buffer, blank, grown. A schema says name and type of each.

const ARRAYS = { f8: Float64Array, f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };

type Kind = keyof typeof ARRAYS;
export type Schema = Readonly<Record<string, Kind>>;
export type Columns<S extends Schema> = { [Name in keyof S]: InstanceType<(typeof ARRAYS)[S[Name]]> };

/** Bytes of a row. */
export function widthOf(schema: Schema): number {
  return Object.values(schema).reduce((sum, kind) => sum + ARRAYS[kind].BYTES_PER_ELEMENT, 0);
}

/** Makes columns one by one; `make` gets the type of array of each. */
function columns<S extends Schema>(
  schema: S,
  make: (type: (typeof ARRAYS)[Kind], name: keyof S) => unknown,
): Columns<S> {
  return Object.fromEntries(
    Object.entries(schema).map(([name, kind]) => [name, make(ARRAYS[kind], name)]),
  ) as Columns<S>;
}

/** Takes columns of `n` numbers one after another out of one buffer. Throws RangeError where it is too short. */
export function read<S extends Schema>(schema: S, view: DataView, n: number): Columns<S> {
  // A message's buffers start anywhere in its frame: copied, so that eight-byte columns are aligned.
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice().buffer;
  let offset = 0;
  return columns(schema, (type) => {
    const column = new type(bytes, offset, n);
    offset += column.byteLength;
    return column;
  });
}

export function blank<S extends Schema>(schema: S, n: number): Columns<S> {
  return columns(schema, (type) => new type(n));
}

/** Longer copies of the columns; what is new is 0. */
export function grown<S extends Schema>(schema: S, from: Columns<S>, n: number): Columns<S> {
  return columns(schema, (type, name) => {
    const longer = new type(n);
    longer.set(from[name]);
    return longer;
  });
}
