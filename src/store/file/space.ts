/**
 * The pages of the file: free stretches, growth and the reserve. Opening rebuilds it; nothing of it
 * is on the disk. Invariant: no page is given out twice, and free neighbours are one stretch.
 * - `frontier`: end of the part that is written, filled with zeros, or soon will be. A small commit
 *   should not go beyond it: uninitialised blocks cost a second device flush. It is for speed only.
 * - `backed`: end of the part that was written successfully. If the disk refuses a write beyond it,
 *   the space is `tight`, and `backed` is the `wall`. Values get pages behind the wall only if
 *   there is no room before it, as an attempt. Enough successful growth removes the wall.
 * - `holes`: pages before `backed` that the disk has refused, since a sparse file has no blocks
 *   there. While the space is tight they are not given out.
 * - The reserve: backed pages for the store's own structures (log, basins, root), never for values.
 *   Deleting, checkpointing and settling then need no growth. It is used only while the space is
 *   tight: before that, a write at the end of the file shows whether the disk is full.
 */

import { pageBytes } from '../../format/layout.ts';
import { assert, checks } from '../../util/assert.ts';
import { type Extent, FreeStretches } from './free-stretches.ts';
import { PageRanges } from './page-ranges.ts';
import { Reserve } from './reserve.ts';
import { growthBytes, growthProofFor, reserveExcess } from './space-shares.ts';

export type { Extent } from './free-stretches.ts';

/** `limit` of a search in the whole file. */
const anywhere = Number.POSITIVE_INFINITY;

export class Space {
  readonly #free = new FreeStretches();
  readonly #reserve: Reserve;
  #end = 0;
  #frontier = 0;
  #backed = 0;
  #wall = anywhere;
  #tight = false;
  #growths = 0;
  #leftFrom = anywhere;
  /** While tight: pages still to be written behind the backed part, to prove room again. */
  #unprovenPages = 0;
  /** Pages before `#backed` that the disk has refused. */
  readonly #holes = new PageRanges();
  /** The free pages of `#holes`; they are not in `#free`. */
  readonly #freeHoles = new PageRanges();

  /** `reserveFor`: pages to reserve in a file of `endPage` pages. */
  constructor(reserveFor: (endPage: number) => number = () => 0) {
    this.#reserve = new Reserve(reserveFor);
  }

  /**
   * Makes all pages between the extents in use free. Requires: the first `fileBytes` have been
   * written once. Throws `VARVE_CORRUPT` if two of `used` overlap, or if an offset is no safe
   * integer.
   */
  rebuild(used: readonly Extent[], fileBytes: number): void {
    assert(this.#end === 0, 'space is rebuilt once');
    this.#end = this.#free.fillBetween(used);
    this.#frontier = Math.ceil(fileBytes / pageBytes);
    // The last page may be there in part only.
    this.#backed = Math.floor(fileBytes / pageBytes);
  }

  /** First page after everything in use. */
  get endPage(): number {
    return this.#end;
  }

  /** First page after everything in use, without a reserve at the end. */
  get usedEndPage(): number {
    return this.#reserve.endsAt(this.#end) ? this.#end - this.#reserve.pages : this.#end;
  }

  /** End of the part that was written successfully. */
  get backedPage(): number {
    return this.#backed;
  }

  get frontierPage(): number {
    return this.#frontier;
  }

  /** Free pages before `endPage`, those in reserve included. */
  get freePages(): number {
    return this.#free.pages + this.#freeHoles.pages + this.#reserve.pages;
  }

  /** Page up to which the file should be filled ahead, for the next commits. */
  get fillPage(): number {
    return this.#end + Math.ceil(growthBytes((this.#end * pageBytes) / 2) / pageBytes);
  }

  /** True if neither the file nor the reserve needs zeros ahead now. */
  get isFilledAhead(): boolean {
    if (this.#reserve.pages < this.#reserve.pagesFor(this.#end)) return false;
    return this.#frontier - this.usedEndPage > (this.fillPage - this.#end) / 4;
  }

  /** Requires: called before a write or zero-fill up to `endPage` is issued. */
  reach(endPage: number): void {
    if (endPage > this.#frontier) this.#frontier = endPage;
  }

  // ── a full disk ──

  /**
   * The disk has refused a write for lack of space, or any write beyond the backed part, and growth
   * has not been proven since.
   */
  get tight(): boolean {
    return this.#tight;
  }

  /** Writes behind this page may be refused; infinite if the file can grow. */
  get wallPage(): number {
    return this.#wall;
  }

  /** Counts writes that made the file grow beyond a wall. */
  get growths(): number {
    return this.#growths;
  }

  /**
   * Sets the wall at the end of the backed part. At opening it is unknown whether the file can
   * grow, and a map may end beyond the file's end.
   */
  doubtGrowth(): void {
    this.#wall = this.#backed;
  }

  /** A write of the pages from `page` up to `endPage` has returned. */
  written(page: number, endPage: number): void {
    if (!this.#holes.empty) this.#holes.remove(page, endPage);
    if (endPage <= this.#backed) return;
    if (this.#tight && page > this.#backed) this.#skipped(this.#backed, page);
    this.#unprovenPages -= endPage - Math.max(page, this.#backed);
    this.#backed = endPage;
    if (this.#wall === anywhere) return;
    this.#growths += 1;
    if (this.#tight && this.#unprovenPages <= 0) this.#loosen();
    this.#wall = this.#tight ? endPage : anywhere;
  }

  /** A write has skipped these pages: they have no blocks in a sparse file, and prove nothing. */
  #skipped(from: number, to: number): void {
    this.#holes.add(from, to);
    for (const { page, pages } of [...this.#free]) {
      const hole = { page: Math.max(page, from), endPage: Math.min(page + pages, to) };
      if (hole.page >= hole.endPage) continue;
      this.#free.remove(page, pages);
      if (page < hole.page) this.#free.insert(page, hole.page - page);
      if (hole.endPage < page + pages) {
        this.#free.insert(hole.endPage, page + pages - hole.endPage);
      }
      this.#freeHoles.add(hole.page, hole.endPage);
    }
  }

  #loosen(): void {
    this.#tight = false;
    this.#holes.takeAll();
    for (const { page, pages } of this.#freeHoles.takeAll()) this.free(page, pages);
  }

  /** The disk has refused a write of these pages, or a length; `full`: for lack of space. */
  refused(page: number, endPage: number, full: boolean): void {
    const isInside = endPage <= this.#backed;
    if (isInside && !full) return;
    if (isInside) this.#holes.add(page, endPage);
    this.#tight = true;
    this.#wall = this.#backed;
    // One more page does not prove room. Growth up to the refused end does, or by a few steps.
    const steps = growthProofFor(this.#end);
    this.#unprovenPages = isInside ? steps : Math.min(endPage - this.#backed, steps);
  }

  /** True if the disk may refuse these bytes: they are behind the wall or in a hole. */
  doubts(offset: number, bytes: number): boolean {
    const endPage = Math.ceil((offset + bytes) / pageBytes);
    if (endPage > this.#wall) return true;
    return this.#holes.overlaps(Math.floor(offset / pageBytes), endPage);
  }

  // ── the store's own structures ──

  /**
   * Takes a stretch of `pages` pages for a structure of the store's own, which is written soon;
   * returns its first page. It takes, in this order:
   * 1. free pages;
   * 2. backed pages at the end;
   * 3. while tight, the reserve, if `keep` pages of it stay;
   * 4. new pages at the end: the file grows.
   *
   * While tight, growth comes first if the reserve has fewer than `keep` pages. With holes, the
   * reserve comes first: free pages may be holes that are not known yet. A document takes the end
   * of the reserve, since it stays: a segment fits in again when record bodies have gone.
   */
  allocate(pages: number, keep = 0, from: 'start' | 'end' = 'start'): number {
    assert(Number.isInteger(pages) && pages > 0, 'a stretch of the file has pages');
    const page = this.#forStructure(pages, keep, from);
    this.reach(page + pages);
    return page;
  }

  #forStructure(pages: number, keep: number, from: 'start' | 'end'): number {
    if (this.#wall < anywhere) this.keepReserve();
    if (this.#tight && Number.isFinite(keep) && this.#reserve.pages < keep) {
      return this.#grow(pages);
    }
    const solid = this.#holes.empty ? undefined : this.#reserve.take(pages, keep, from);
    const found = solid ?? this.#takeFree(pages);
    if (found !== undefined) return found;
    if (this.#end + pages <= this.#backed) return this.#grow(pages);
    const reserved = this.#tight ? this.#reserve.take(pages, keep, from) : undefined;
    return reserved ?? this.#grow(pages);
  }

  /** True if `allocate` would find `pages` backed pages. */
  hasBacked(pages: number, keep = 0): boolean {
    if (this.#end + pages <= this.#backed) return true;
    if (this.#reserve.pages - pages >= keep) return true;
    return this.hasFree(pages);
  }

  /** True if `pages` backed pages in a row are free, without the reserve. */
  hasFree(pages: number): boolean {
    return this.#free.longest(pages, this.#wall) !== undefined;
  }

  /**
   * Fills up the reserve from free pages. Returns the number of pages at the end that must still be
   * backed to complete it.
   */
  topUpReserve(): number {
    this.keepReserve();
    const wanted = this.#reserve.pagesFor(this.#end);
    if (this.#reserve.pages >= wanted) return 0;
    return Math.max(0, Math.ceil(wanted * reserveExcess) - Math.max(0, this.#backed - this.#end));
  }

  /**
   * Renews a short reserve from a stretch of free backed pages; the old reserve counts as free. If
   * the file may be unable to grow, any longer reserve is taken, even an incomplete one.
   */
  keepReserve(): void {
    const wanted = this.#reserve.pagesFor(this.#end);
    const pages = this.#reserve.pages;
    if (pages >= wanted) return;
    const least = this.#wall < anywhere ? pages + 1 : wanted;
    const limit = Math.min(this.#backed, this.#wall);
    const stretch = this.#reserve.bestStretch(
      this.#free,
      { endPage: this.#end, limit },
      wanted,
      least,
    );
    if (stretch === undefined) return;
    this.releaseReserve();
    const kept = Math.min(Math.ceil(wanted * reserveExcess), stretch.pages);
    if (stretch.page === this.#end) this.#grow(kept);
    else this.#free.takeFirst(stretch.page, kept);
    this.#reserve.set({ page: stretch.page, pages: kept });
    assert(stretch.page + kept <= this.#backed, 'the reserve has been written');
  }

  /** Frees the reserve: the store closes, or a better one was found. */
  releaseReserve(): void {
    const extent = this.#reserve.give();
    if (extent !== undefined) this.free(extent.page, extent.pages);
  }

  // ── values ──

  /**
   * Takes a stretch of `pages` pages for values; returns its first page. Without `grow`, returns
   * undefined if it would be behind the wall.
   */
  allocateForValues(pages: number): number;
  allocateForValues(pages: number, grow: boolean): number | undefined;
  allocateForValues(pages: number, grow = true): number | undefined {
    assert(Number.isInteger(pages) && pages > 0, 'a stretch of the file has pages');
    if (this.#wall < anywhere) this.keepReserve();
    const found = this.#takeFree(pages);
    if (found !== undefined) return found;
    this.keepReserve();
    return grow || this.#end + pages <= this.#wall ? this.#grow(pages) : undefined;
  }

  /** Pages, up to `wanted`, for values without growth; undefined if fewer than `least`. */
  availableBacked(wanted: number, least: number): number | undefined {
    if (this.#wall < anywhere) this.keepReserve();
    const longest = this.#free.longest(least, this.#wall);
    const atEnd = this.#tight ? Math.max(0, this.#wall - this.#end) : 0;
    const most = Math.max(longest?.pages ?? 0, atEnd);
    return most < least ? undefined : Math.min(wanted, most);
  }

  /**
   * Takes stretches with `pages` pages in all, for values. One stretch if possible; otherwise at
   * most `most`, the longest free ones, of at least `least` pages each, and the last from growth.
   * Without `grow`, returns undefined if that would be behind the wall.
   */
  gather(pages: number, least: number, most: number): Extent[];
  gather(pages: number, least: number, most: number, grow: boolean): Extent[] | undefined;
  gather(pages: number, least: number, most: number, grow = true): Extent[] | undefined {
    const parts: Extent[] = [];
    if (this.#wall < anywhere) this.keepReserve();
    let rest = pages;
    while (rest > 0) {
      const page = this.#takeFree(rest);
      const longest = page === undefined ? this.#free.longest(least, this.#wall) : undefined;
      if (longest === undefined || parts.length === most - 1) {
        const last = page ?? this.allocateForValues(rest, grow);
        if (last !== undefined) return [...parts, { page: last, pages: rest }];
        for (const part of parts) this.free(part.page, part.pages);
        return undefined;
      }
      this.#free.remove(longest.page, longest.pages);
      parts.push(longest);
      rest -= longest.pages;
    }
    return parts;
  }

  #takeFree(pages: number): number | undefined {
    if (this.#leftFrom === anywhere) return this.#free.take(pages, this.#wall);
    return this.takeBelow(pages, anywhere);
  }

  // ── compaction ──

  /** The store's own structures leave the pages from this one on; infinite for none. */
  get leftFrom(): number {
    return this.#leftFrom;
  }

  /** Until `page` is infinite again, everything goes to the first free pages that fit. */
  leaveFrom(page: number): void {
    this.#leftFrom = page;
  }

  /** Takes the first `pages` free pages in a row before `limit` and the wall; returns the first. */
  takeBelow(pages: number, limit: number): number | undefined {
    const stretch = this.#free.lowest(pages, Math.min(limit, this.#wall));
    if (stretch === undefined) return undefined;
    this.#free.takeFrom(stretch, pages);
    return stretch.page;
  }

  /** The file has been cut: no page from `endPage` on is written. */
  cut(endPage: number): void {
    assert(endPage >= this.#end, 'the file is cut behind everything in use');
    this.#frontier = Math.min(this.#frontier, endPage);
    this.#backed = Math.min(this.#backed, endPage);
    if (this.#wall < anywhere) this.#wall = this.#backed;
  }

  #grow(pages: number): number {
    const page = this.#end;
    this.#end += pages;
    return page;
  }

  /** Frees a stretch. Requires: no structure needs it, and no write to it is in flight. */
  free(page: number, pages: number): void {
    assert(pages > 0 && page + pages <= this.#end, 'only a stretch in use is freed');
    assert(!this.#free.has(page), 'a stretch is freed once');
    for (const free of checks.strict ? this.stretches() : []) {
      const isApart = free.page >= page + pages || free.page + free.pages <= page;
      assert(isApart, 'a stretch is freed once');
    }
    for (const part of this.#holes.split(page, page + pages)) {
      if (part.isWithin) this.#freeHoles.add(part.page, part.endPage);
      else this.#join(part.page, part.endPage - part.page);
    }
  }

  #join(page: number, pages: number): void {
    const whole = this.#free.join(page, pages);
    if (whole.page + whole.pages === this.#end) this.#end = whole.page;
    else this.#free.insert(whole.page, whole.pages);
  }

  /** Free stretches in no order, without the reserve. */
  freeStretches(): Iterable<Extent> {
    return this.#free;
  }

  /** Takes these pages if they are one free stretch still. */
  takeAt(page: number, pages: number): boolean {
    return this.#free.removeAt(page, pages);
  }

  /** Free stretches in no order, including the reserve. */
  *stretches(): Generator<Extent> {
    yield* this.#free;
    yield* this.#freeHoles;
    if (this.#reserve.extent !== undefined) yield this.#reserve.extent;
  }
}
