/**
 * Chooses the grains of the next value in a stratum: O(1) allocation over its mark pages.
 * (Segregated fits, as in TLSF, Masmano et al. 2004; best fit, Knuth vol. 1, 2.5.)
 *
 * Free runs are kept by length, and a value takes the shortest that is long enough. While much of
 * the stratum is free, a small value takes a roomier run. The rest of that run is the current run,
 * so values pushed in a row lie side by side. Reservations and releases only change bits in memory.
 *
 * Invariant: each free run of an indexed page is the current run, or has an entry with its first
 * grain under its length (256 for all longer ones) or a longer one. Entries are not updated when
 * runs merge or shrink: a stale entry is corrected or dropped when it is found. All entries are
 * made anew if too many are stale. A page is indexed when no listed run is long enough. Before
 * that, and after it was evicted, only an upper bound of its longest run is known: its hint.
 */

import { isVarveError } from '../../errors.ts';
import { assert } from '../../util/assert.ts';
import {
  clearRun,
  type FreeRun,
  findFreeRun,
  isClear,
  nextClear,
  nextSet,
  runStart,
  setRun,
} from '../marks/bit-runs.ts';
import { LengthBuckets, runLengthMax } from '../marks/length-buckets.ts';
import type { MarkPage } from '../marks/mark-page.ts';

const none = -1;
/** Grains of a page, rounded up to a power of two: entry = page slot * pageStride + first grain. */
const pageStride = 2 ** 14;
/**
 * In a roomy stratum a value takes a run with room for this number of values like it. Values of one
 * session then lie side by side and become one write.
 */
const roomForAlike = 8;
/** A current run up to this length is used up, even if a shorter run would fit. */
const shortRunMax = 64;
/** Maximum number of entries: above half of it, pages stay unindexed until they are needed. */
const entriesMax = 2 ** 20;
const entriesMin = 4000;

/**
 * The longest run, in grains, that a value may break up although a shorter one fits. Breaking up
 * long runs lets the values of one session lie side by side.
 * - Values of 1024 bytes or more, or less than 1/8 of the stratum free: 0 (the shortest run).
 * - From 1/8 free: 64. From 2/5 free: any length.
 *
 * Long values cannot use runs that are broken up, so they break up none themselves.
 */
export function longestRoomyRun(valueBytes: number, freeShare: number): number {
  if (valueBytes >= longValueBytes || freeShare < someFree) return 0;
  return freeShare >= plentyFree ? Number.POSITIVE_INFINITY : shortRunMax;
}

const longValueBytes = 1024;
const plentyFree = 2 / 5;
const someFree = 1 / 8;

export class GrainAllocator {
  readonly #pages: (MarkPage | undefined)[] = [];
  /** By page slot: the bound of the page's runs without entries; 0 if it is indexed. */
  readonly #hints: number[] = [];
  readonly #freeSlots: number[] = [];
  readonly #load: (page: MarkPage) => void;
  /** Free runs of indexed pages: page slot * pageStride + first grain. */
  readonly #runs = new LengthBuckets();
  /** Slots of pages that are not fully indexed, by the page's hint. */
  readonly #unindexed = new LengthBuckets();
  #entriesBeforeRenewal = entriesMin;
  /** The current run: its page, and its first grain and end in that page. */
  #page: MarkPage | undefined;
  #at = 0;
  #end = 0;
  readonly #found: FreeRun = { start: 0, end: 0, longest: 0 };

  /** `load` is called before the grains of a page are read. */
  constructor(load: (page: MarkPage) => void) {
    this.#load = load;
  }

  /** Lists a page whose longest free run is at most `hint`. */
  add(page: MarkPage, hint: number): void {
    const slot = this.#freeSlots.pop() ?? this.#pages.length;
    page.listAt(slot);
    this.#pages[slot] = page;
    this.#hints[slot] = 0;
    this.#notIndexed(page, hint);
  }

  /** True if values are being taken from a run of the page. */
  isCurrent(page: MarkPage): boolean {
    return this.#page === page;
  }

  /**
   * The page was evicted: its entries are stale, and its hint stands for its runs. Requires: it is
   * not current, and its name has its longest run.
   */
  unload(page: MarkPage): void {
    assert(this.#page !== page, 'the page of the current run stays loaded');
    if (page.listed !== none) this.#notIndexed(page, Math.min(page.name.longestFree, page.grains));
  }

  /** Removes a page: its map is given back. */
  remove(page: MarkPage): void {
    const slot = page.listed;
    page.unlist();
    this.#pages[slot] = undefined;
    this.#freeSlots.push(slot);
    if (this.#page === page) this.#page = undefined;
  }

  /**
   * Reserves `count` grains in a row in one page; returns the index of the first in the stratum, or
   * -1 if no listed page has them. Prefers a run with room for values like it, if that has at most
   * `roomyMax` grains; 0: the shortest run.
   */
  reserve(count: number, roomyMax: number): number {
    const left = this.#page === undefined ? 0 : this.#end - this.#at;
    const stays = left <= Math.max(shortRunMax, roomyMax);
    if (left >= count && !stays) this.#enterTighter(count, left);
    if (left < count && !this.#enterRun(count, roomyMax)) return none;
    const page = this.#page as MarkPage;
    const at = this.#at;
    assert(at + count <= this.#end, 'the current run has room');
    setRun(page.taken, at, count);
    this.#at = at + count;
    return page.firstIndex + at;
  }

  /** Reserves the rest of the current run; returns the number of grains. */
  reserveRest(): number {
    const page = this.#page;
    if (page === undefined) return 0;
    const count = this.#end - this.#at;
    setRun(page.taken, this.#at, count);
    this.#page = undefined;
    return count;
  }

  /**
   * Leaves the long current run if there is a shorter one of at least `count` grains. An entry
   * whose run has become longer is not taken: values would alternate between runs.
   */
  #enterTighter(count: number, left: number): void {
    for (;;) {
      const length = this.#runs.shortestFrom(count);
      if (length === 0 || length >= Math.min(left, runLengthMax)) return;
      if (this.#tryEntry(length, count, length)) return;
    }
  }

  /** Makes a run of at least `count` grains the current one. */
  #enterRun(count: number, roomyMax: number): boolean {
    this.#leaveRun();
    for (;;) {
      const wanted = Math.min(count * roomForAlike, roomyMax, runLengthMax);
      let length = this.#runs.shortestFrom(Math.max(count, wanted));
      if (length === 0 || length > roomyMax) length = this.#runs.shortestFrom(count);
      if (length > 0) {
        if (this.#tryEntry(length, count, Number.POSITIVE_INFINITY)) return true;
      } else if (!this.#indexOne(count)) return false;
    }
  }

  /**
   * Removes an entry of this length. Makes its run the current one if the run still exists and has
   * from `count` to `most` grains.
   */
  #tryEntry(length: number, count: number, most: number): boolean {
    const entry = this.#runs.pop(length);
    const at = entry % pageStride;
    const page = this.#pages[(entry - at) / pageStride];
    if (page === undefined || !isRunStart(page, at)) return false;
    const end = nextSet(page.taken, at, page.grains);
    if (end - at < count || end - at > most) {
      this.#runs.push(Math.min(end - at, runLengthMax), entry);
      return false;
    }
    this.#leaveRun();
    this.#page = page;
    this.#at = at;
    this.#end = end;
    return true;
  }

  /** Lists the rest of the current run as an entry. */
  #leaveRun(): void {
    const page = this.#page;
    if (page === undefined) return;
    this.#page = undefined;
    if (this.#at < this.#end) this.#enter(page, this.#at, this.#end - this.#at);
  }

  /** Indexes a page that may have a run of `count` grains; false if there is none. */
  #indexOne(count: number): boolean {
    for (;;) {
      const hint = this.#unindexed.shortestFrom(count);
      if (hint === 0) return false;
      const slot = this.#unindexed.pop(hint);
      const page = this.#pages[slot];
      if (page === undefined || this.#hints[slot] !== hint) continue;
      this.#hints[slot] = 0;
      if (!this.#loadOrSkip(page)) continue;
      // Pages that are evicted and loaded again leave stale entries.
      if (this.#runs.size >= this.#entriesBeforeRenewal) this.#renew();
      this.#index(page);
      return true;
    }
  }

  /**
   * Loads a page. A damaged page is skipped: nothing is reserved in it, and reading its values
   * reports the damage.
   */
  #loadOrSkip(page: MarkPage): boolean {
    try {
      this.#load(page);
      return true;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) {
        this.#notIndexed(page, runLengthMax);
        throw error;
      }
      return false;
    }
  }

  #index(page: MarkPage): void {
    const { taken, grains } = page;
    const base = page.listed * pageStride;
    let at = nextClear(taken, 0, grains);
    while (at < grains) {
      const end = nextSet(taken, at, grains);
      this.#runs.push(Math.min(end - at, runLengthMax), base + at);
      at = nextClear(taken, end, grains);
    }
  }

  /** Lists a free run of an indexed page. */
  #enter(page: MarkPage, at: number, length: number): void {
    if (this.#runs.size >= this.#entriesBeforeRenewal) this.#renew();
    this.#runs.push(Math.min(length, runLengthMax), page.listed * pageStride + at);
  }

  /** Notes that the page has runs without entries, of at most `hint` grains. */
  #notIndexed(page: MarkPage, hint: number): void {
    const bound = Math.min(hint, runLengthMax);
    if (bound <= (this.#hints[page.listed] as number)) return;
    this.#hints[page.listed] = bound;
    this.#unindexed.push(bound, page.listed);
  }

  /** Makes all entries anew, without the stale ones. */
  #renew(): void {
    this.#runs.clear();
    this.#unindexed.clear();
    for (const [slot, page] of this.#pages.entries()) {
      if (page === undefined) continue;
      const hint = page.loaded ? this.#longestIn(page) : (this.#hints[slot] as number);
      this.#hints[slot] = 0;
      if (page.loaded && this.#runs.size < entriesMax / 2) this.#index(page);
      else this.#notIndexed(page, hint);
    }
    const enough = 2 * this.#runs.size + 16 * this.#pages.length + entriesMin;
    this.#entriesBeforeRenewal = Math.min(enough, entriesMax);
  }

  #longestIn(page: MarkPage): number {
    findFreeRun(page.taken, { from: 0, limit: page.grains }, runLengthMax, this.#found);
    return this.#found.longest;
  }

  /** Reserves the run of grains at `at` of `page`; false if one of them is taken. */
  reserveAt(page: MarkPage, at: number, count: number): boolean {
    if (!isClear(page.taken, at, count)) return false;
    if (this.#page === page) this.#leaveRun();
    setRun(page.taken, at, count);
    const reach = Math.min(page.grains, at + count + runLengthMax);
    const left = nextSet(page.taken, at + count, reach) - at - count;
    // The part in front keeps its entry, now under a longer length.
    if (left === 0) return true;
    if ((this.#hints[page.listed] as number) > 0) this.#notIndexed(page, left);
    else this.#enter(page, at + count, left);
    return true;
  }

  /** Frees grains: of a reservation, or of a freed value whose release is durable. */
  release(page: MarkPage, at: number, count: number): void {
    const end = at + count;
    assert(end <= page.grains && nextClear(page.taken, at, end) === end, 'grains are freed once');
    clearRun(page.taken, at, count);
    if (page.listed === none) return;
    const start = runStart(page.taken, at, runLengthMax);
    const runEnd = nextSet(page.taken, end, Math.min(page.grains, at + runLengthMax));
    if (this.#page === page && start <= this.#end && runEnd >= this.#at) {
      this.#at = Math.min(this.#at, start);
      this.#end = Math.max(this.#end, runEnd);
    } else if (at - start < runLengthMax) this.#enter(page, start, runEnd - start);
    // Otherwise the run in front has the longest listed length already, and keeps its entry.
  }
}

/** True if a free run begins at the grain `at` of a loaded page. */
function isRunStart(page: MarkPage, at: number): boolean {
  if (!page.loaded || at >= page.grains) return false;
  return isClear(page.taken, at, 1) && (at === 0 || !isClear(page.taken, at - 1, 1));
}
