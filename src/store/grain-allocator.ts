/**
 * Where in a stratum the next value goes: O(1) allocation over its mark pages.
 *
 * Each page has a hint, an upper bound of its longest free run (told apart up to 256). Pages are
 * listed by hint; the one that is taken from is read front to back, so values pushed one after
 * another lie side by side. A page that turns out to have no run long enough gets its exact bound,
 * and only freeing raises it: so each look that fails is paid for by a value freed before.
 *
 * While more than an eighth of the stratum is free it takes from the emptiest page, so that a
 * session's values share pages; when it is denser, and for long runs always, from the fullest that
 * still fits, so that no space is lost. Reservations and releases are marks in memory only.
 * (Segregated lists as in TLSF, Masmano et al. 2004; next fit within the page.)
 */

import { assert } from '../util/assert.ts';
import { clearRun, type FreeRun, findFreeRun, freeRunAround, isClear, setRun } from './bit-runs.ts';
import { longestRunTold, type MarkPage } from './mark-page.ts';

const bucketCount = longestRunTold + 1;
const none = -1;

export class GrainAllocator {
  readonly #pages: (MarkPage | undefined)[] = [];
  readonly #load: (page: MarkPage) => void;
  #next = new Int32Array(16);
  #previous = new Int32Array(16);
  readonly #heads = new Int32Array(bucketCount).fill(none);
  readonly #filled = new Uint32Array(Math.ceil(bucketCount / 32));
  /** The free run that values are being taken from. */
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
    page.listed = this.#pages.length;
    page.hint = Math.min(hint, longestRunTold);
    this.#pages.push(page);
    if (this.#pages.length > this.#next.length) {
      this.#next = grown(this.#next);
      this.#previous = grown(this.#previous);
    }
    this.#link(page);
  }

  /** Takes a page off the list: its map is given back. */
  remove(page: MarkPage): void {
    this.#unlink(page);
    this.#pages[page.listed] = undefined;
    page.listed = none;
    if (this.#page === page) this.#page = undefined;
  }

  /**
   * Reserves `count` grains in a row within one page; index of the first in the stratum, or -1
   * where no page listed has them.
   */
  reserve(count: number, dense: boolean): number {
    let page = this.#page;
    if (page === undefined || this.#end - this.#at < count) {
      page = this.#findRun(count, dense);
      if (page === undefined) return none;
      this.#page = page;
      this.#at = this.#found.start;
      this.#end = this.#found.end;
    }
    const at = this.#at;
    setRun(page.taken, at, count);
    this.#at = at + count;
    return page.firstIndex + at;
  }

  #findRun(count: number, dense: boolean): MarkPage | undefined {
    for (;;) {
      const page = this.#pick(count, dense);
      if (page === undefined) return undefined;
      this.#load(page);
      const limit = page.grains;
      const rest = { from: page.searchFrom, limit };
      if (
        findFreeRun(page.taken, rest, count, this.#found) ||
        findFreeRun(page.taken, { from: 0, limit }, count, this.#found)
      ) {
        page.searchFrom = this.#found.start;
        return page;
      }
      this.#setHint(page, this.#found.longest);
    }
  }

  /** A page whose hint is at least `count`: the smallest such hint when dense, else the largest. */
  #pick(count: number, dense: boolean): MarkPage | undefined {
    const bucket = dense ? this.#lowestFrom(count) : this.#highest();
    if (bucket < count) return undefined;
    return this.#pages[this.#heads[bucket] as number];
  }

  #lowestFrom(count: number): number {
    let mask = -1 << (count & 31);
    for (let word = count >>> 5; word < this.#filled.length; word++) {
      const bits = (this.#filled[word] as number) & mask;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      mask = -1;
    }
    return none;
  }

  #highest(): number {
    for (let word = this.#filled.length - 1; word >= 0; word--) {
      const bits = this.#filled[word] as number;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return none;
  }

  /** Reserves the run of grains at `at` of `page`; false where one of them is taken. */
  reserveAt(page: MarkPage, at: number, count: number): boolean {
    if (!isClear(page.taken, at, count)) return false;
    setRun(page.taken, at, count);
    if (this.#page === page && at < this.#end && at + count > this.#at) this.#page = undefined;
    return true;
  }

  /** The grains are free: a reservation was given back, or a freed value's release is durable. */
  release(page: MarkPage, at: number, count: number): void {
    clearRun(page.taken, at, count);
    if (this.#page === page && at + count === this.#at) this.#at = at;
    if (page.hint === longestRunTold) return;
    const run = Math.min(
      freeRunAround(page.taken, at, page.grains, longestRunTold),
      longestRunTold,
    );
    if (run > page.hint) this.#setHint(page, run);
  }

  #setHint(page: MarkPage, hint: number): void {
    this.#unlink(page);
    page.hint = hint;
    this.#link(page);
  }

  #link(page: MarkPage): void {
    const head = this.#heads[page.hint] as number;
    this.#next[page.listed] = head;
    this.#previous[page.listed] = none;
    if (head !== none) this.#previous[head] = page.listed;
    this.#heads[page.hint] = page.listed;
    const word = page.hint >>> 5;
    this.#filled[word] = (this.#filled[word] as number) | (1 << (page.hint & 31));
  }

  #unlink(page: MarkPage): void {
    const next = this.#next[page.listed] as number;
    const previous = this.#previous[page.listed] as number;
    if (next !== none) this.#previous[next] = previous;
    if (previous !== none) this.#next[previous] = next;
    else this.#heads[page.hint] = next;
    if ((this.#heads[page.hint] as number) !== none) return;
    const word = page.hint >>> 5;
    this.#filled[word] = (this.#filled[word] as number) & ~(1 << (page.hint & 31));
  }
}

function grown(list: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(list.length * 2);
  larger.set(list);
  return larger;
}
