// The stretch of time that a view shows.

import { type Domain, moved, type Scale, zoomed } from "./layout";

/** rows: as much as the rows in view need. run: the whole run. align: each row from its own beginning. */
export type Mode = "rows" | "run" | "align";

/** Room for the figure behind the last bar. */
const LABEL_PX = 58;

export class TimeAxis {
  mode: Mode = "rows";
  /** Chosen by hand; goes before the mode. */
  window: Domain | null = null;

  /** Lays `width` pixels over what is to be seen; `fitted` is what the mode asks for. */
  scale(fitted: Domain, width: number): Scale {
    const length = Math.max(fitted.to - fitted.from, 0.5);
    const to = fitted.from + length * (width / Math.max(width - LABEL_PX, width / 2, 1));
    return { domain: this.window ?? { from: fitted.from, to }, width };
  }

  zoom({ domain }: Scale, factor: number, whole: number, around?: number): void {
    this.window = zoomed(domain, factor, around ?? (domain.from + domain.to) / 2, whole);
  }

  /** Moves by a share of the width. */
  pan({ domain }: Scale, share: number, whole: number): void {
    this.window = moved(domain, share * (domain.to - domain.from), whole);
  }

  /** Follows a drag from where the window began. */
  dragTo(began: Domain, pixels: number, width: number, whole: number): void {
    this.window = moved(began, (-pixels * (began.to - began.from)) / Math.max(width, 1), whole);
  }
}
