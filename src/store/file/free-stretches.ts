/**
 * The free stretches of the file, searched for the shortest or the longest that fits.
 *
 * Invariant: stretches do not touch; the caller joins a freed one with its neighbours first. O(1)
 * amortised: each power of two is a class, and only a few stretches of a class are tried. `limit`
 * is a page of the file: pages from there on count as in use.
 */

import { corrupt } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import { assert } from '../../util/assert.ts';

/** A stretch of pages. */
export interface Extent {
  readonly page: number;
  readonly pages: number;
}

const classCount = 54;
const looksPerClass = 16;

export class FreeStretches {
  /** Start page to length of each stretch, and end page to start. */
  readonly #lengths = new Map<number, number>();
  readonly #starts = new Map<number, number>();
  readonly #classes: Set<number>[] = Array.from({ length: classCount }, () => new Set());
  /** Pages of all stretches. */
  pages = 0;

  /**
   * Makes all pages between the extents in use free; returns the page after the last of these.
   * Throws `VARVE_CORRUPT` if two of them overlap, or if an offset is no safe integer.
   */
  fillBetween(used: readonly Extent[]): number {
    const sorted = used.filter((extent) => extent.pages > 0).sort((a, b) => a.page - b.page);
    let end = 0;
    for (const { page, pages } of sorted) {
      const offset = page * pageBytes;
      if (page < end) throw corrupt('two structures share a page', { offset });
      if (!Number.isSafeInteger(offset + pages * pageBytes)) {
        throw corrupt('a structure lies beyond the longest possible file', { offset });
      }
      if (page > end) this.insert(end, page - end);
      end = page + pages;
    }
    return end;
  }

  /** A stretch begins with this page. */
  has(page: number): boolean {
    return this.#lengths.has(page);
  }

  /**
   * Takes `pages` pages of the shortest stretch that fits, of those tried; returns the first page.
   */
  take(pages: number, limit: number): number | undefined {
    for (let sizeClass = classOf(pages); sizeClass < classCount; sizeClass++) {
      const found = this.#best(sizeClass, pages, limit);
      if (found === undefined) continue;
      this.takeFrom(found, pages);
      return found.page;
    }
    return undefined;
  }

  /** The first stretch in the file with `pages` pages before page `limit`. Looks at all of them. */
  lowest(pages: number, limit: number): Extent | undefined {
    let lowest: Extent | undefined;
    for (const [page, length] of this.#lengths) {
      const fits = length >= pages && page + pages <= limit;
      if (fits && page < (lowest?.page ?? Number.POSITIVE_INFINITY)) {
        lowest = { page, pages: length };
      }
    }
    return lowest;
  }

  /** Takes the first `pages` pages of a stretch. */
  takeFrom({ page, pages: length }: Extent, pages: number): void {
    this.remove(page, length);
    if (length > pages) this.insert(page + pages, length - pages);
  }

  /** Takes the first `pages` pages of the stretch that begins with `page`. */
  takeFirst(page: number, pages: number): void {
    this.takeFrom({ page, pages: this.#lengths.get(page) as number }, pages);
  }

  #best(sizeClass: number, pages: number, limit: number): Extent | undefined {
    let best: Extent | undefined;
    let looks = 0;
    for (const page of this.#classes[sizeClass] as Set<number>) {
      const length = this.#lengths.get(page) as number;
      const fits = length >= pages && page + pages <= limit;
      if (fits && length < (best?.pages ?? Number.POSITIVE_INFINITY)) {
        best = { page, pages: length };
      }
      looks += 1;
      if (looks === looksPerClass) break;
    }
    return best;
  }

  /** The longest stretch, of those tried; undefined if it has fewer than `least` pages. */
  longest(least: number, limit: number): Extent | undefined {
    for (let sizeClass = classCount - 1; sizeClass >= classOf(least); sizeClass--) {
      let longest: Extent | undefined;
      let looks = 0;
      for (const page of this.#classes[sizeClass] as Set<number>) {
        const length = this.#lengths.get(page) as number;
        const isLonger = length >= Math.max(least, (longest?.pages ?? 0) + 1);
        if (isLonger && page + length <= limit) longest = { page, pages: length };
        looks += 1;
        if (looks === looksPerClass) break;
      }
      if (longest !== undefined) return longest;
    }
    return undefined;
  }

  /** The stretch together with its free neighbours. */
  around(page: number, pages: number): Extent {
    const start = this.#starts.get(page) ?? page;
    return { page: start, pages: page - start + pages + (this.#lengths.get(page + pages) ?? 0) };
  }

  /** As `around`, and removes the neighbours. */
  join(page: number, pages: number): Extent {
    const whole = this.around(page, pages);
    const end = page + pages;
    const wholeEnd = whole.page + whole.pages;
    if (whole.page < page) this.remove(whole.page, page - whole.page);
    if (wholeEnd > end) this.remove(end, wholeEnd - end);
    return whole;
  }

  insert(page: number, pages: number): void {
    assert(!this.#starts.has(page) && !this.#lengths.has(page + pages), 'free neighbours are one');
    this.#lengths.set(page, pages);
    this.#starts.set(page + pages, page);
    (this.#classes[classOf(pages)] as Set<number>).add(page);
    this.pages += pages;
  }

  remove(page: number, pages: number): void {
    assert(this.#lengths.get(page) === pages, 'a free stretch is removed as a whole');
    this.#lengths.delete(page);
    this.#starts.delete(page + pages);
    (this.#classes[classOf(pages)] as Set<number>).delete(page);
    this.pages -= pages;
  }

  /** Removes a stretch if it is there with exactly these pages. */
  removeAt(page: number, pages: number): boolean {
    if (this.#lengths.get(page) !== pages) return false;
    this.remove(page, pages);
    return true;
  }

  /** In no order. */
  *[Symbol.iterator](): Generator<Extent> {
    for (const [page, pages] of this.#lengths) yield { page, pages };
  }
}

function classOf(pages: number): number {
  return Math.min(classCount - 1, Math.floor(Math.log2(pages)));
}
