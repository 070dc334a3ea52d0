/**
 * The pages that are kept for the store's own structures.
 *
 * Invariant: they are one stretch, which `Space` does not give out otherwise. It decides when they
 * are used and renewed.
 */

import type { Extent, FreeStretches } from './free-stretches.ts';

export class Reserve {
  readonly #pagesFor: (endPage: number) => number;
  #extent: Extent | undefined;

  /** `pagesFor`: pages to reserve in a file of `endPage` pages. */
  constructor(pagesFor: (endPage: number) => number) {
    this.#pagesFor = pagesFor;
  }

  get extent(): Extent | undefined {
    return this.#extent;
  }

  get pages(): number {
    return this.#extent?.pages ?? 0;
  }

  /** True if it has the last pages before page `endPage`. */
  endsAt(endPage: number): boolean {
    return this.#extent !== undefined && this.#extent.page + this.#extent.pages === endPage;
  }

  /** Pages to reserve in a file of `endPage` pages. */
  pagesFor(endPage: number): number {
    return this.#pagesFor(endPage);
  }

  set(extent: Extent): void {
    this.#extent = extent;
  }

  /** Gives up all of it. */
  give(): Extent | undefined {
    const extent = this.#extent;
    this.#extent = undefined;
    return extent;
  }

  /** Takes `pages` pages from its start or end if `keep` of it stay; returns the first. */
  take(pages: number, keep: number, from: 'start' | 'end'): number | undefined {
    const extent = this.#extent;
    if (extent === undefined || extent.pages - pages < keep) return undefined;
    const rest = extent.pages - pages;
    const page = from === 'start' ? extent.page + pages : extent.page;
    this.#extent = rest === 0 ? undefined : { page, pages: rest };
    return from === 'start' ? extent.page : extent.page + rest;
  }

  /**
   * The best stretch before page `limit` for a reserve of `wanted` pages; undefined if none has
   * `least`. The reserve as it is counts as free: the place around it if that is long enough, then
   * the longest free stretch, then the pages behind `endPage`.
   */
  bestStretch(
    free: FreeStretches,
    { endPage, limit }: { readonly endPage: number; readonly limit: number },
    wanted: number,
    least: number,
  ): Extent | undefined {
    const atEnd = { page: endPage, pages: Math.max(0, limit - endPage) };
    const old = this.#extent;
    let found: Extent | undefined;
    if (old !== undefined) {
      const { page, pages } = free.around(old.page, old.pages);
      const usable = page + pages === endPage ? pages + atEnd.pages : pages;
      found = { page, pages: Math.min(usable, limit - page) };
      if (found.pages >= wanted) return found;
    }
    const longest = free.longest(least, limit);
    if (longest !== undefined && longest.pages > (found?.pages ?? 0)) found = longest;
    const isShort = found === undefined || found.pages < Math.min(wanted, atEnd.pages);
    const best = isShort ? atEnd : found;
    return best !== undefined && best.pages >= least ? best : undefined;
  }
}
