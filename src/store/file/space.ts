/**
 * The pages of the file: which stretches are free, where the file grows, what is kept in reserve.
 *
 * Invariant: no page is given out twice, and freed neighbours are one stretch. It holds nothing on
 * disk: opening rebuilds it from what the structures name.
 *
 * `frontier` is the end of what has been written or filled with zeros, or is about to be: a small
 * commit should not land beyond it, because a file system pays a second device flush for blocks it
 * has not initialised. It is a matter of speed only.
 *
 * On a full disk the file cannot grow. `backed` is the end of what was written successfully. A
 * write beyond it that the disk refuses makes the space `tight`, and what is backed then is the
 * `wall`: values are given pages behind it only when there is no room before it, as an attempt;
 * when such writes have succeeded for a while the wall is gone.
 *
 * A sparse file may have no blocks before its end either: pages there that the disk has refused are
 * `holes`, which are not given out while the space is tight.
 *
 * For the store's own structures (log, basins, root) there is a reserve of backed pages that values
 * are never given, so that deleting, checkpointing and settling do not depend on growth. It is
 * touched only while the space is tight: before that, a write behind the end finds out.
 */

import { corrupt } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import { assert } from '../../util/assert.ts';
import { type Extent, FreeStretches } from './free-stretches.ts';
import { PageRanges } from './page-ranges.ts';
import { growthBytes, reserveExcess } from './space-shares.ts';

export type { Extent } from './free-stretches.ts';

/** Pages by which the file grows at once for large writes: a 32nd of it, 64 KiB to 16 MiB. */
const lengthStepShare = 32;
const lengthStepLeast = (64 * 1024) / pageBytes;
const lengthStepMost = (16 * 1024 * 1024) / pageBytes;

/** Pages by which the file has to grow for growth to be taken for granted again. */
const growthProvenBy = 64;
const growthProvenByShare = 64;

/** `limit` of a search that takes what lies anywhere. */
const anywhere = Number.POSITIVE_INFINITY;

export class Space {
  readonly #free = new FreeStretches();
  readonly #reserveFor: (endPage: number) => number;
  #reserve: Extent | undefined;
  #end = 0;
  #frontier = 0;
  /** Length of the file in pages, written or not. */
  #length = 0;
  #backed = 0;
  #wall = anywhere;
  #tight = false;
  #growths = 0;
  /** While tight: where the file has to end for the disk to count as having room again. */
  #looseAt = 0;
  /** Pages before `#backed` that the disk has refused. */
  readonly #holes = new PageRanges();
  /** Those of them that nothing uses, kept apart from the free stretches. */
  readonly #freeHoles = new PageRanges();

  /** `reserveFor`: pages to be kept in reserve in a file of so many; none where it is not given. */
  constructor(reserveFor: (endPage: number) => number = () => 0) {
    this.#reserveFor = reserveFor;
  }

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
      if (page > end) this.#free.insert(end, page - end);
      end = page + pages;
    }
    this.#end = end;
    this.#frontier = Math.ceil(fileBytes / pageBytes);
    this.#length = this.#frontier;
    // A page that the file ends in is not all there.
    this.#backed = Math.floor(fileBytes / pageBytes);
  }

  /** First page after everything in use. */
  get endPage(): number {
    return this.#end;
  }

  /** First page after everything in use but a reserve at the end. */
  get usedEndPage(): number {
    const reserve = this.#reserve;
    const isLast = reserve !== undefined && reserve.page + reserve.pages === this.#end;
    return isLast ? reserve.page : this.#end;
  }

  /** End of what has been written successfully. */
  get backedPage(): number {
    return this.#backed;
  }

  get frontierPage(): number {
    return this.#frontier;
  }

  /** Free pages before `endPage`, those in reserve included. */
  get freePages(): number {
    return this.#free.pages + this.#freeHoles.pages + (this.#reserve?.pages ?? 0);
  }

  /** Pages that the file should reach, all written, so that the next commits land on them. */
  get fillPage(): number {
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

  // ── a full disk ──

  /** The disk has refused to let the file grow, and has not let it since. */
  get tight(): boolean {
    return this.#tight;
  }

  /** Page behind which nothing may be writable; infinite where the file can grow. */
  get wallPage(): number {
    return this.#wall;
  }

  /** Counts the times that the file has grown beyond a wall. */
  get growths(): number {
    return this.#growths;
  }

  /** Nobody knows yet whether the file can grow, and a map may end where it has yet to. */
  doubtGrowth(): void {
    this.#wall = this.#backed;
  }

  /** A write of the pages from `page` up to `endPage` has returned. */
  written(page: number, endPage: number): void {
    if (!this.#holes.empty) this.#holes.remove(page, endPage);
    if (endPage <= this.#backed) return;
    this.#backed = endPage;
    if (this.#wall === anywhere) return;
    this.#growths += 1;
    if (this.#tight && endPage >= this.#looseAt) this.#loosen();
    this.#wall = this.#tight ? endPage : anywhere;
  }

  #loosen(): void {
    this.#tight = false;
    this.#holes.takeAll();
    for (const { page, pages } of this.#freeHoles.takeAll()) this.free(page, pages);
  }

  /**
   * The disk has refused a write of these pages, or a length: since it is `full`, or for another
   * reason.
   */
  refused(page: number, endPage: number, full: boolean): void {
    const isInside = endPage <= this.#backed;
    if (isInside && !full) return;
    if (isInside) this.#holes.add(page, endPage);
    this.#tight = true;
    this.#wall = this.#backed;
    // A page more does not mean that there is room again: as far as was refused, or a few steps.
    const steps = this.#backed + Math.max(growthProvenBy, this.#end / growthProvenByShare);
    this.#looseAt = isInside ? steps : Math.min(endPage, steps);
    this.#length = Math.min(this.#length, Math.max(this.#backed, this.#end));
  }

  /** Whether the disk may refuse these bytes: they are behind the wall, or where it has before. */
  doubts(offset: number, bytes: number): boolean {
    const endPage = Math.ceil((offset + bytes) / pageBytes);
    if (endPage > this.#wall) return true;
    return this.#holes.overlaps(Math.floor(offset / pageBytes), endPage);
  }

  // ── the store's own structures ──

  /**
   * First page of a stretch of `pages` pages that nothing else uses, for a structure of the store's
   * own: free ones, then what is backed at the end, then, while tight, of the reserve what leaves
   * `keep` pages of it, then the file grows; at once if the reserve has not so many now. Where
   * there are holes the reserve comes first: what is free may be more of them.
   */
  allocate(pages: number, keep = 0): number {
    assert(Number.isInteger(pages) && pages > 0, 'a stretch of the file has pages');
    if (this.#wall < anywhere) this.keepReserve();
    if (this.#tight && Number.isFinite(keep) && (this.#reserve?.pages ?? 0) < keep) {
      return this.#grow(pages);
    }
    const solid = this.#holes.empty ? undefined : this.#takeReserve(pages, keep);
    const found = solid ?? this.#free.take(pages, this.#wall);
    if (found !== undefined) return found;
    if (this.#end + pages <= this.#backed) return this.#grow(pages);
    const reserved = this.#tight ? this.#takeReserve(pages, keep) : undefined;
    return reserved ?? this.#grow(pages);
  }

  /** Whether `allocate` would find so many backed pages. */
  hasBacked(pages: number, keep = 0): boolean {
    if (this.#end + pages <= this.#backed) return true;
    if ((this.#reserve?.pages ?? 0) - pages >= keep) return true;
    return this.hasFree(pages);
  }

  /** Whether so many backed pages are free in a row, but for the reserve. */
  hasFree(pages: number): boolean {
    return this.#free.longest(pages, this.#wall) !== undefined;
  }

  #takeReserve(pages: number, keep: number): number | undefined {
    const reserve = this.#reserve;
    if (reserve === undefined || reserve.pages - pages < keep) return undefined;
    const rest = reserve.pages - pages;
    this.#reserve = rest === 0 ? undefined : { page: reserve.page + pages, pages: rest };
    return reserve.page;
  }

  /**
   * Makes the reserve as long as it can be, and says how many pages at the end have yet to be
   * backed for it to have what it should.
   */
  topUpReserve(): number {
    this.keepReserve();
    const wanted = this.#reserveFor(this.#end);
    if ((this.#reserve?.pages ?? 0) >= wanted) return 0;
    return Math.max(0, Math.ceil(wanted * reserveExcess) - Math.max(0, this.#backed - this.#end));
  }

  /**
   * Makes the reserve as long as it should be, where so many backed pages are free in a row: those
   * of the reserve itself count, with the free ones beside it. While nobody knows whether the file
   * can grow a part of it is better than nothing.
   */
  keepReserve(): void {
    const wanted = this.#reserveFor(this.#end);
    const pages = this.#reserve?.pages ?? 0;
    if (pages >= wanted) return;
    const stretch = this.#stretchForReserve(wanted, this.#wall < anywhere ? pages + 1 : wanted);
    if (stretch === undefined) return;
    this.releaseReserve();
    const kept = Math.min(Math.ceil(wanted * reserveExcess), stretch.pages);
    if (stretch.page === this.#end) this.#grow(kept);
    else this.#free.takeFirst(stretch.page, kept);
    this.#reserve = { page: stretch.page, pages: kept };
  }

  /**
   * The backed pages in a row for a reserve of `wanted` pages, the old one counted as free, if they
   * are at least `least`: where the old one is, if that will do, else the longest, else at the end.
   */
  #stretchForReserve(wanted: number, least: number): Extent | undefined {
    const end = Math.min(this.#backed, this.#wall);
    const atEnd = { page: this.#end, pages: Math.max(0, end - this.#end) };
    const old = this.#reserve;
    let found: Extent | undefined;
    if (old !== undefined) {
      const { page, pages } = this.#free.around(old.page, old.pages);
      const free = page + pages === this.#end ? pages + atEnd.pages : pages;
      found = { page, pages: Math.min(free, end - page) };
      if (found.pages >= wanted) return found;
    }
    const longest = this.#free.longest(least, this.#wall);
    if (longest !== undefined && longest.pages > (found?.pages ?? 0)) found = longest;
    const isShort = found === undefined || found.pages < Math.min(wanted, atEnd.pages);
    const best = isShort ? atEnd : found;
    return best !== undefined && best.pages >= least ? best : undefined;
  }

  /** The reserve is free like other pages: the store is being closed, or has a better one. */
  releaseReserve(): void {
    const reserve = this.#reserve;
    if (reserve === undefined) return;
    this.#reserve = undefined;
    this.free(reserve.page, reserve.pages);
  }

  // ── values ──

  /**
   * First page of a stretch of `pages` pages that nothing else uses, for values. Without `grow`
   * undefined where that would have to be behind the wall.
   */
  allocateForValues(pages: number): number;
  allocateForValues(pages: number, grow: boolean): number | undefined;
  allocateForValues(pages: number, grow = true): number | undefined {
    assert(Number.isInteger(pages) && pages > 0, 'a stretch of the file has pages');
    if (this.#tight) this.keepReserve();
    const found = this.#free.take(pages, this.#wall);
    if (found !== undefined) return found;
    this.keepReserve();
    return grow || this.#end + pages <= this.#wall ? this.#grow(pages) : undefined;
  }

  /**
   * How many pages, up to `wanted`, values can be given without the file growing, if that is at
   * least `least`; else `wanted`.
   */
  available(wanted: number, least: number): number {
    return this.availableBacked(wanted, least) ?? wanted;
  }

  /** As `available`, but undefined where that is not at least `least`. */
  availableBacked(wanted: number, least: number): number | undefined {
    if (this.#tight) this.keepReserve();
    const longest = this.#free.longest(least, this.#wall);
    const atEnd = this.#tight ? Math.max(0, this.#wall - this.#end) : 0;
    const most = Math.max(longest?.pages ?? 0, atEnd);
    return most < least ? undefined : Math.min(wanted, most);
  }

  /**
   * Stretches of `pages` pages together, for values: one where there is one, else at most `most`,
   * the longest that are free, of at least `least` pages each, the last of them where the file
   * grows. Without `grow` undefined where that would have to be behind the wall.
   */
  gather(pages: number, least: number, most: number): Extent[];
  gather(pages: number, least: number, most: number, grow: boolean): Extent[] | undefined;
  gather(pages: number, least: number, most: number, grow = true): Extent[] | undefined {
    const parts: Extent[] = [];
    if (this.#tight) this.keepReserve();
    let rest = pages;
    while (rest > 0) {
      const page = this.#free.take(rest, this.#wall);
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

  #grow(pages: number): number {
    const page = this.#end;
    this.#end += pages;
    return page;
  }

  /** Gives a stretch back. Nothing written to it may be needed, or still be under way. */
  free(page: number, pages: number): void {
    assert(pages > 0 && page + pages <= this.#end, 'only a stretch in use is freed');
    assert(!this.#free.has(page), 'a stretch is freed once');
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

  /** Free stretches, in no order, the reserve among them. */
  *stretches(): Generator<Extent> {
    yield* this.#free;
    yield* this.#freeHoles;
    if (this.#reserve !== undefined) yield this.#reserve;
  }
}
