// Attempts of all rows, in one pool of columns; those of a row are chained.

import { blank, grown, type Schema } from "./columns";
import { ATTEMPTS, type AttemptColumns } from "./protocol";

export type Attempt = Record<Exclude<keyof AttemptColumns, "position">, number>;

const FIELDS = Object.keys(ATTEMPTS) as (keyof AttemptColumns)[];
const CHAIN = { next: "u4" } as const satisfies Schema;
const FIRST = { first: "u4" } as const satisfies Schema;

export class AttemptPool {
  // Places count from 1: a column's blank 0 means none.
  #count = 1;
  #columns = blank(ATTEMPTS, 256);
  #chain = blank(CHAIN, 256);
  #first = blank(FIRST, 256);

  /** Enters a batch; an attempt that is there already is written over. */
  apply(batch: AttemptColumns, words: readonly number[]): void {
    for (let i = 0; i < batch.position.length; i++) {
      const at = this.#slot(batch.position[i] ?? 0, batch.number[i] ?? 1);
      for (const field of FIELDS) this.#columns[field][at] = batch[field][i] ?? Number.NaN;
      this.#columns.error[at] = words[batch.error[i] ?? 0] ?? 0;
    }
  }

  /** The attempts of a row; times in ms since the run began, `start` NaN if it was before that, `total` while it goes on. */
  of(row: number): Attempt[] {
    return this.#places(row).map(
      (at) =>
        Object.fromEntries(FIELDS.map((field) => [field, this.#columns[field][at]])) as unknown as Attempt,
    );
  }

  /** When the row's first attempt was queued and its last one ended (`now` while it goes on); NaN if never sent. */
  span(row: number, now: number): [from: number, to: number] {
    const { start, queued, total } = this.#columns;
    let from = Number.NaN;
    let to = Number.NaN;
    for (let at = this.#first.first[row]; at; at = this.#chain.next[at]) {
      const began = start[at] ?? Number.NaN;
      if (Number.isNaN(from)) from = began - (queued[at] || 0);
      const lasted = total[at] ?? Number.NaN;
      to = Number.isNaN(lasted) ? now : began + lasted;
    }
    return [from, to];
  }

  #places(row: number): number[] {
    const places: number[] = [];
    for (let at = this.#first.first[row]; at; at = this.#chain.next[at]) places.push(at);
    return places;
  }

  /** Finds the place of a row's attempt, or makes it at the end of the row's chain. */
  #slot(row: number, number: number): number {
    const room = this.#first.first.length;
    if (row >= room) this.#first = grown(FIRST, this.#first, Math.max(row + 1, room * 2));
    const places = this.#places(row);
    const place = places.find((at) => this.#columns.number[at] === number);
    if (place) return place;
    const added = this.#count++;
    if (added === this.#chain.next.length) {
      this.#columns = grown(ATTEMPTS, this.#columns, added * 2);
      this.#chain = grown(CHAIN, this.#chain, added * 2);
    }
    const last = places[places.length - 1];
    if (last) this.#chain.next[last] = added;
    else this.#first.first[row] = added;
    return added;
  }
}
