/**
 * Where in a stratum the next value goes: O(1) allocation over its mark pages.
 *
 * Free runs are kept by their length, and a value takes the shortest that is long enough: what is
 * left of it is the current run, so values pushed one after another lie side by side. Invariant:
 * every free run of an indexed page is the current one or has an entry, by its first grain, under
 * its length or a longer one. Entries are not looked for when runs merge or are cut: one that no
 * longer fits is put right, or forgotten, when it turns up, which is paid for by the change that
 * made it so; and all are made anew when too many have piled up.
 *
 * A page is indexed when nothing else has a run that is long enough: until then its hint, an upper
 * bound of its longest run, is what is known of it. Reservations and releases are marks in memory
 * only. (Segregated fits, as in TLSF, Masmano et al. 2004; best fit, Knuth vol. 1, 2.5.)
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
} from './bit-runs.ts';
import { LengthBuckets, longestRunTold } from './length-buckets.ts';
import type { MarkPage } from './mark-page.ts';

const none = -1;
/** Grains of a page, rounded up to a power of two: an entry is page and first grain in one. */
const pageStride = 2 ** 14;
/**
 * Where it may be roomy, a value takes a run that has room for so many like it: those of one
 * session are to lie side by side, and be one write.
 */
const roomForAlike = 8;
/** A current run of no more grains is used up, whatever would fit better. */
const shortRunMax = 64;
/** Entries kept at most: pages with more runs than that stay unindexed until they are needed. */
const entriesMax = 2 ** 20;
const entriesAtLeast = 4000;

/**
 * Longest run that a value of so many bytes may break up where a shorter one would do, so that the
 * values of one session lie side by side: any while two fifths of the stratum are free, those of up
 * to 64 grains down to an eighth. Broken up, long runs are not found by long values, nor do those
 * break up any themselves.
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
  readonly #freeSlots: number[] = [];
  readonly #load: (page: MarkPage) => void;
  /** Free runs of indexed pages: page slot * pageStride + first grain. */
  readonly #runs = new LengthBuckets();
  /** Slots of pages with runs that are not indexed, by the page's hint. */
  readonly #unindexed = new LengthBuckets();
  #entriesBeforeRenewal = entriesAtLeast;
  /** The free run that values are being taken from: its page, first grain in that, and end. */
  #page: MarkPage | undefined;
  #at = 0;
  #end = 0;
  readonly #found: FreeRun = { start: 0, end: 0, longest: 0 };

  /** `load` is called before a page's grains are looked at. */
  constructor(load: (page: MarkPage) => void) {
    this.#load = load;
  }

  /** Lists a page whose longest free run is at most `hint`. */
  add(page: MarkPage, hint: number): void {
    assert(page.listed === none, 'a mark page is listed once');
    page.listed = this.#freeSlots.pop() ?? this.#pages.length;
    this.#pages[page.listed] = page;
    page.hint = 0;
    this.#notIndexed(page, hint);
  }

  /** Takes a page off the list: its map is given back. */
  remove(page: MarkPage): void {
    assert(page.listed !== none, 'a mark page that is taken off the list is on it');
    this.#pages[page.listed] = undefined;
    this.#freeSlots.push(page.listed);
    page.listed = none;
    if (this.#page === page) this.#page = undefined;
  }

  /**
   * Reserves `count` grains in a row within one page; index of the first in the stratum, or -1
   * where no page listed has them. Rather in a run with room for others like it, if it is no longer
   * than `roomyMax` grains; 0: in the shortest.
   */
  reserve(count: number, roomyMax: number): number {
    const left = this.#page === undefined ? 0 : this.#end - this.#at;
    const stays = left <= Math.max(shortRunMax, roomyMax);
    if (left >= count && !stays) this.#enterTighter(count, left);
    if (left < count && !this.#enterRun(count, roomyMax)) return none;
    const page = this.#page as MarkPage;
    const at = this.#at;
    setRun(page.taken, at, count);
    this.#at = at + count;
    return page.firstIndex + at;
  }

  /** Reserves what is left of the run that the last value was taken from; how many grains. */
  reserveRest(): number {
    const page = this.#page;
    if (page === undefined) return 0;
    const count = this.#end - this.#at;
    setRun(page.taken, this.#at, count);
    this.#page = undefined;
    return count;
  }

  /**
   * Leaves the current run, a long one, for one of at least `count` grains that is shorter. Not for
   * an entry that stands for a longer run by now: values would go now here, now there.
   */
  #enterTighter(count: number, left: number): void {
    for (;;) {
      const length = this.#runs.shortestFrom(count);
      if (length === 0 || length >= Math.min(left, longestRunTold)) return;
      if (this.#tryEntry(length, count, length)) return;
    }
  }

  /** Makes a run of at least `count` grains the current one. */
  #enterRun(count: number, roomyMax: number): boolean {
    this.#leaveRun();
    for (;;) {
      const wanted = Math.min(count * roomForAlike, roomyMax, longestRunTold);
      let length = this.#runs.shortestFrom(Math.max(count, wanted));
      if (length === 0 || length > roomyMax) length = this.#runs.shortestFrom(count);
      if (length > 0) {
        if (this.#tryEntry(length, count, Number.POSITIVE_INFINITY)) return true;
      } else if (!this.#indexOne(count)) return false;
    }
  }

  /**
   * Takes an entry of this length out: makes its run the current one, where there is one and it has
   * from `count` to `most` grains by now.
   */
  #tryEntry(length: number, count: number, most: number): boolean {
    const entry = this.#runs.pop(length);
    const at = entry % pageStride;
    const page = this.#pages[(entry - at) / pageStride];
    if (page === undefined || !isRunStart(page, at)) return false;
    const end = nextSet(page.taken, at, page.grains);
    if (end - at < count || end - at > most) {
      this.#runs.push(Math.min(end - at, longestRunTold), entry);
      return false;
    }
    this.#leaveRun();
    this.#page = page;
    this.#at = at;
    this.#end = end;
    return true;
  }

  /** What is left of the current run becomes a run like others. */
  #leaveRun(): void {
    const page = this.#page;
    if (page === undefined) return;
    this.#page = undefined;
    if (this.#at < this.#end) this.#enter(page, this.#at, this.#end - this.#at);
  }

  /** Indexes a page that may have a run of `count` grains; false where none may. */
  #indexOne(count: number): boolean {
    for (;;) {
      const hint = this.#unindexed.shortestFrom(count);
      if (hint === 0) return false;
      const page = this.#pages[this.#unindexed.pop(hint)];
      if (page === undefined || page.hint !== hint) continue;
      page.hint = 0;
      if (!this.#loadOrSkip(page)) continue;
      this.#index(page);
      return true;
    }
  }

  /** Nothing is reserved in a page that is damaged; reading what is in it says so. */
  #loadOrSkip(page: MarkPage): boolean {
    try {
      this.#load(page);
      return true;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) {
        this.#notIndexed(page, longestRunTold);
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
      this.#runs.push(Math.min(end - at, longestRunTold), base + at);
      at = nextClear(taken, end, grains);
    }
  }

  /** Lists a free run of an indexed page. */
  #enter(page: MarkPage, at: number, length: number): void {
    if (this.#runs.size >= this.#entriesBeforeRenewal) this.#renew();
    this.#runs.push(Math.min(length, longestRunTold), page.listed * pageStride + at);
  }

  /** There are runs in the page, the longest at most `hint`, that have no entries. */
  #notIndexed(page: MarkPage, hint: number): void {
    const told = Math.min(hint, longestRunTold);
    if (told <= page.hint) return;
    page.hint = told;
    this.#unindexed.push(told, page.listed);
  }

  /** Forgets the entries that no longer stand for a run. */
  #renew(): void {
    this.#runs.clear();
    this.#unindexed.clear();
    for (const page of this.#pages) {
      if (page === undefined) continue;
      const hint = page.loaded ? this.#longestIn(page) : page.hint;
      page.hint = 0;
      if (page.loaded && this.#runs.size < entriesMax / 2) this.#index(page);
      else this.#notIndexed(page, hint);
    }
    const enough = 2 * this.#runs.size + 16 * this.#pages.length + entriesAtLeast;
    this.#entriesBeforeRenewal = Math.min(enough, entriesMax);
  }

  #longestIn(page: MarkPage): number {
    findFreeRun(page.taken, { from: 0, limit: page.grains }, longestRunTold, this.#found);
    return this.#found.longest;
  }

  /** Reserves the run of grains at `at` of `page`; false where one of them is taken. */
  reserveAt(page: MarkPage, at: number, count: number): boolean {
    if (!isClear(page.taken, at, count)) return false;
    if (this.#page === page) this.#leaveRun();
    setRun(page.taken, at, count);
    const reach = Math.min(page.grains, at + count + longestRunTold);
    const left = nextSet(page.taken, at + count, reach) - at - count;
    // What is left in front keeps its entry, under a length that was right before.
    if (left === 0) return true;
    if (page.hint > 0) this.#notIndexed(page, left);
    else this.#enter(page, at + count, left);
    return true;
  }

  /** The grains are free: a reservation was given back, or a freed value's release is durable. */
  release(page: MarkPage, at: number, count: number): void {
    clearRun(page.taken, at, count);
    if (page.listed === none) return;
    const start = runStart(page.taken, at, longestRunTold);
    const end = nextSet(page.taken, at + count, Math.min(page.grains, at + longestRunTold));
    if (this.#page === page && start <= this.#end && end >= this.#at) {
      this.#at = Math.min(this.#at, start);
      this.#end = Math.max(this.#end, end);
    } else if (at - start < longestRunTold) this.#enter(page, start, end - start);
    // Else the run in front was as long as is told apart, and has its entry.
  }
}

/** Whether a free run begins with the grain `at` of a loaded page. */
function isRunStart(page: MarkPage, at: number): boolean {
  if (!page.loaded || at >= page.grains) return false;
  return isClear(page.taken, at, 1) && (at === 0 || !isClear(page.taken, at - 1, 1));
}
