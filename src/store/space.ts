/**
 * The pages of the file: which stretches are free, and where the file grows.
 *
 * Invariant: no page is given out twice, and freed neighbours are one stretch. It holds nothing on
 * disk: opening rebuilds it from what the structures name. Allocation is O(1) amortised: stretches
 * are kept in classes of their power of two, and only a few of one class are looked at.
 *
 * `frontier` is the end of what has been written or filled with zeros: a small commit should not
 * land beyond it, because a file system pays a second device flush for blocks it has not
 * initialised. It is a matter of speed only.
 */

import { corrupt } from '../errors.ts';
import { pageBytes } from '../format/layout.ts';
import { assert } from '../util/assert.ts';

const classCount = 54;
const looksPerClass = 16;
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

/** Pages by which the file grows at once for large writes: a 32nd of it, 64 KiB to 16 MiB. */
const lengthStepShare = 32;
const lengthStepLeast = (64 * kibibyte) / pageBytes;
const lengthStepMost = (16 * mebibyte) / pageBytes;

/** How far something of `bytes` bytes grows at once: 1/16 while small, 1/64 when large. */
export function growthBytes(bytes: number): number {
  return Math.max(
    64 * kibibyte,
    Math.min(bytes / 16, mebibyte),
    Math.min(bytes / 64, 32 * mebibyte),
  );
}

/** A stretch of the file in use. */
export interface Extent {
  readonly page: number;
  readonly pages: number;
}

export class Space {
  /** Start page to length of each free stretch, and end page to start. */
  readonly #free = new Map<number, number>();
  readonly #freeEnds = new Map<number, number>();
  readonly #classes: Set<number>[] = Array.from({ length: classCount }, () => new Set());
  #end = 0;
  #frontier = 0;
  /** Length of the file in pages, written or not. */
  #length = 0;
  #freePages = 0;

  /**
   * Makes everything between the stretches in use free; the first `fileBytes` have been written
   * once. Throws `VARVE_CORRUPT` where two of `used` overlap, or one lies beyond what a number of
   * bytes can say.
   */
  rebuild(used: readonly Extent[], fileBytes: number): void {
    assert(this.#end === 0, 'space is rebuilt once');
    const sorted = used.filter((extent) => extent.pages > 0).sort((a, b) => a.page - b.page);
    let end = 0;
    for (const { page, pages } of sorted) {
      if (page < end) {
        const offset = page * pageBytes;
        throw corrupt('two structures share a page', { offset });
      }
      if (!Number.isSafeInteger((page + pages) * pageBytes)) {
        throw corrupt('a structure lies where no file reaches', { offset: page * pageBytes });
      }
      if (page > end) this.#insert(end, page - end);
      end = page + pages;
    }
    this.#end = end;
    this.#frontier = Math.ceil(fileBytes / pageBytes);
    this.#length = this.#frontier;
  }

  /** First page after everything in use. */
  get endPage(): number {
    return this.#end;
  }

  get frontierPage(): number {
    return this.#frontier;
  }

  get freePages(): number {
    return this.#freePages;
  }

  /** Pages that the file should reach, all written, so that the next commits land on them. */
  get reservePage(): number {
    return this.#end + Math.ceil(growthBytes((this.#end * pageBytes) / 2) / pageBytes);
  }

  /** To be called before a write or zero-fill up to `endPage` is issued. */
  reach(endPage: number): void {
    if (endPage > this.#frontier) this.#frontier = endPage;
    if (endPage > this.#length) this.#length = endPage;
  }

  /**
   * Bytes that the file is to have before large writes up to `endPage`; undefined where it has
   * them. Each new length is one more thing for the file system to make durable, so it grows by a
   * part of itself. Nothing there counts as written.
   */
  lengthFor(endPage: number): number | undefined {
    if (endPage <= this.#length) return undefined;
    const step = Math.min(Math.max(lengthStepLeast, endPage / lengthStepShare), lengthStepMost);
    this.#length = endPage + Math.ceil(step);
    return this.#length * pageBytes;
  }

  /** First page of a stretch of `pages` pages that nothing else uses. */
  allocate(pages: number): number {
    assert(Number.isInteger(pages) && pages > 0, 'a stretch of the file has pages');
    return this.#reuse(pages) ?? this.#grow(pages);
  }

  /**
   * How many pages, up to `wanted`, can be allocated without the file growing, if that is at least
   * `least`; else `wanted`.
   */
  available(wanted: number, least: number): number {
    const longest = this.#longest(least);
    return longest === undefined ? wanted : Math.min(wanted, longest.pages);
  }

  /**
   * Stretches of `pages` pages together: one where there is one, else at most `most`, the longest
   * that are free, of at least `least` pages each, the last of them where the file grows.
   */
  gather(pages: number, least: number, most: number): Extent[] {
    const parts: Extent[] = [];
    let rest = pages;
    while (rest > 0) {
      const page = this.#reuse(rest);
      const longest = page === undefined ? this.#longest(least) : undefined;
      if (longest === undefined || parts.length === most - 1) {
        parts.push({ page: page ?? this.#grow(rest), pages: rest });
        break;
      }
      this.#remove(longest.page, longest.pages);
      parts.push(longest);
      rest -= longest.pages;
    }
    return parts;
  }

  #grow(pages: number): number {
    const page = this.#end;
    this.#end += pages;
    return page;
  }

  /** Takes `pages` pages of the shortest free stretch, of those looked at, that has them. */
  #reuse(pages: number): number | undefined {
    for (let sizeClass = classOf(pages); sizeClass < classCount; sizeClass++) {
      const found = this.#best(sizeClass, pages);
      if (found === undefined) continue;
      this.#remove(found.page, found.pages);
      if (found.pages > pages) this.#insert(found.page + pages, found.pages - pages);
      return found.page;
    }
    return undefined;
  }

  #best(sizeClass: number, pages: number): Extent | undefined {
    let best: Extent | undefined;
    let looks = 0;
    for (const page of this.#classes[sizeClass] as Set<number>) {
      const length = this.#free.get(page) as number;
      if (length >= pages && length < (best?.pages ?? Number.POSITIVE_INFINITY)) {
        best = { page, pages: length };
      }
      looks += 1;
      if (looks === looksPerClass) break;
    }
    return best;
  }

  /** The longest free stretch, of those looked at; undefined where it has not `least` pages. */
  #longest(least: number): Extent | undefined {
    for (let sizeClass = classCount - 1; sizeClass >= classOf(least); sizeClass--) {
      let longest: Extent | undefined;
      let looks = 0;
      for (const page of this.#classes[sizeClass] as Set<number>) {
        const length = this.#free.get(page) as number;
        if (length >= Math.max(least, (longest?.pages ?? 0) + 1)) longest = { page, pages: length };
        looks += 1;
        if (looks === looksPerClass) break;
      }
      if (longest !== undefined) return longest;
    }
    return undefined;
  }

  /** Gives a stretch back. Nothing written to it may be needed, or still be under way. */
  free(page: number, pages: number): void {
    assert(pages > 0 && page + pages <= this.#end, 'only a stretch in use is freed');
    assert(!this.#free.has(page), 'a stretch is freed once');
    let start = page;
    let length = pages;
    const before = this.#freeEnds.get(page);
    if (before !== undefined) {
      const beforeLength = this.#free.get(before) as number;
      this.#remove(before, beforeLength);
      start = before;
      length += beforeLength;
    }
    const afterLength = this.#free.get(page + pages);
    if (afterLength !== undefined) {
      this.#remove(page + pages, afterLength);
      length += afterLength;
    }
    if (start + length === this.#end) this.#end = start;
    else this.#insert(start, length);
  }

  /** Free stretches, in no order. */
  *stretches(): Generator<Extent> {
    for (const [page, pages] of this.#free) yield { page, pages };
  }

  #insert(page: number, pages: number): void {
    this.#free.set(page, pages);
    this.#freeEnds.set(page + pages, page);
    (this.#classes[classOf(pages)] as Set<number>).add(page);
    this.#freePages += pages;
  }

  #remove(page: number, pages: number): void {
    this.#free.delete(page);
    this.#freeEnds.delete(page + pages);
    (this.#classes[classOf(pages)] as Set<number>).delete(page);
    this.#freePages -= pages;
  }
}

function classOf(pages: number): number {
  return Math.min(classCount - 1, Math.floor(Math.log2(pages)));
}
