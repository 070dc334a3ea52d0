/**
 * The mark pages that a store has loaded, and the bounds on their memory: one of their own, and the
 * budget that other caches share (`util/memory-budget.ts`).
 *
 * Invariants:
 * - A page is evicted only if its home can spare it, it is not pinned, and nothing is lost with it.
 * - The page that is being added is not evicted. Any other may be, so a caller uses one page at a
 *   time, or pins.
 * - Pages that cannot go count too: the bounds may be exceeded by them alone.
 * - The budget leaves it 4 MiB: marks of ten million grains. A state that a reader has left keeps
 *   none.
 *
 * The oldest page goes first; one that was used since it was last passed is passed once more
 * (second chance). A use only sets a flag. It reads and writes nothing.
 */

import type { MemoryBudget, MemoryShare, MemoryUser } from '../../util/memory-budget.ts';
import { loadedPageBytes, type MarkPage } from './mark-page.ts';

/** The owner of a page. */
export interface PageHome {
  /** False if the page has changes that are not in the file, or is needed as it is. */
  canSpare(page: MarkPage): boolean;
  /** The page is not loaded any more. */
  evicted(page: MarkPage): void;
}

/** Pages that are looked at for each one that is added, at most. */
const passedMax = 64;
/** Memory that the budget leaves it: without marks each read of a value would load some. */
const keptBytesMax = 4 * 1024 * 1024;
/** The part of the budget that is its own bound. */
const shareMax = 1 / 4;

export class LoadedPages implements MemoryUser {
  /** Not an integer in general. */
  readonly pagesMax: number;
  readonly #budget: MemoryBudget;
  readonly #share: MemoryShare;
  #keptBytes: number;
  /** Oldest first. */
  readonly #pages = new Map<MarkPage, PageHome>();
  readonly #pinned = new Set<MarkPage>();
  /** The page that was added last: its user is not done with it. */
  #newest: MarkPage | undefined;

  /** `bytesMax`: its own bound. Default: a quarter of the budget, but at least 4 MiB. */
  constructor(budget: MemoryBudget, bytesMax = Math.max(keptBytesMax, budget.bytesMax * shareMax)) {
    this.#budget = budget;
    this.#share = budget.join('marks', this);
    this.#keptBytes = Math.min(keptBytesMax, bytesMax);
    this.pagesMax = bytesMax / loadedPageBytes;
  }

  get entryCount(): number {
    return this.size;
  }

  get size(): number {
    return this.#pages.size;
  }

  get bytes(): number {
    return this.size * loadedPageBytes;
  }

  get #isBeyond(): boolean {
    return this.size > this.pagesMax;
  }

  /** The page has been loaded. Evicts others beyond the bound. */
  add(page: MarkPage, home: PageHome): void {
    page.use();
    this.#pages.set(page, home);
    this.#newest = page;
    if (this.#isBeyond) this.#evict(passedMax, () => this.#isBeyond);
    this.#hold();
    this.#budget.makeRoom();
  }

  /** Tells the budget what it holds. */
  #hold(): void {
    const { bytes } = this;
    const reservedBytes = Math.min(bytes, this.#keptBytes);
    this.#share.hold(bytes - reservedBytes, { reservedBytes });
  }

  /** A reader has moved on to a later state: all pages can go from now on. */
  retire(): void {
    this.#keptBytes = 0;
    this.#newest = undefined;
    this.#hold();
  }

  /** The page is no part of the store any more, or has no marks. */
  remove(page: MarkPage): void {
    this.#pages.delete(page);
    this.#pinned.delete(page);
    if (page === this.#newest) this.#newest = undefined;
    this.#hold();
  }

  /** Keeps a loaded page until `unpinAll`. */
  pin(page: MarkPage): void {
    this.#pinned.add(page);
  }

  unpinAll(): void {
    this.#pinned.clear();
  }

  /** Evicts all pages beyond the bound that can go: some could not before. */
  shrink(): void {
    if (!this.#isBeyond) return;
    this.#newest = undefined;
    this.#evict(2 * this.#pages.size, () => this.#isBeyond);
    this.#hold();
  }

  pass(count: number): void {
    this.#evict(count, () => this.bytes > this.#keptBytes);
    this.#hold();
  }

  /** Passes pages while `goesOn`, at most `most`. */
  #evict(most: number, goesOn: () => boolean): void {
    let left = most;
    for (const [page, home] of this.#pages) {
      if (!goesOn() || left === 0) return;
      left -= 1;
      this.#pages.delete(page);
      const stays = page === this.#newest || page.passed() || this.#pinned.has(page);
      if (stays || !home.canSpare(page) || !page.isSpare) {
        this.#pages.set(page, home);
        continue;
      }
      page.evict();
      home.evicted(page);
    }
  }
}
