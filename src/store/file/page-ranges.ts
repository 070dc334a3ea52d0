/**
 * A set of pages, as ranges in the order of the file.
 *
 * Invariant: ranges neither overlap nor touch. For few ranges only: each call takes time
 * proportional to their number.
 */

import type { Extent } from './free-stretches.ts';

interface PageRange {
  readonly page: number;
  readonly endPage: number;
}

export class PageRanges {
  #ranges: PageRange[] = [];

  get empty(): boolean {
    return this.#ranges.length === 0;
  }

  get pages(): number {
    let pages = 0;
    for (const range of this.#ranges) pages += range.endPage - range.page;
    return pages;
  }

  overlaps(page: number, endPage: number): boolean {
    return this.#ranges.some((range) => range.page < endPage && page < range.endPage);
  }

  /** Adds a range; it merges with ranges that it touches. */
  add(page: number, endPage: number): void {
    if (page >= endPage) return;
    let joined: PageRange = { page, endPage };
    const apart: PageRange[] = [];
    for (const range of this.#ranges) {
      if (range.endPage < joined.page || joined.endPage < range.page) apart.push(range);
      else {
        joined = {
          page: Math.min(range.page, joined.page),
          endPage: Math.max(range.endPage, joined.endPage),
        };
      }
    }
    this.#ranges = [...apart, joined].sort((one, other) => one.page - other.page);
  }

  remove(page: number, endPage: number): void {
    if (!this.overlaps(page, endPage)) return;
    this.#ranges = this.#ranges.flatMap((range) =>
      [
        { page: range.page, endPage: Math.min(range.endPage, page) },
        { page: Math.max(range.page, endPage), endPage: range.endPage },
      ].filter((rest) => rest.page < rest.endPage),
    );
  }

  /** Divides the pages from `page` up to `endPage` into parts that are within the set or not. */
  split(page: number, endPage: number): (PageRange & { readonly isWithin: boolean })[] {
    const parts: (PageRange & { readonly isWithin: boolean })[] = [];
    let at = page;
    for (const range of this.#ranges) {
      const from = Math.max(range.page, at);
      const to = Math.min(range.endPage, endPage);
      if (from >= to) continue;
      if (at < from) parts.push({ page: at, endPage: from, isWithin: false });
      parts.push({ page: from, endPage: to, isWithin: true });
      at = to;
    }
    if (at < endPage) parts.push({ page: at, endPage, isWithin: false });
    return parts;
  }

  /** Removes and returns all ranges. */
  takeAll(): Extent[] {
    const ranges = [...this];
    this.#ranges = [];
    return ranges;
  }

  *[Symbol.iterator](): Generator<Extent> {
    for (const { page, endPage } of this.#ranges) yield { page, pages: endPage - page };
  }
}
