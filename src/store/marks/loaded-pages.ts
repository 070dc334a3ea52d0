/**
 * The mark pages that a store has loaded, and the bound on their memory.
 *
 * Invariants:
 * - A page is evicted only if its home can spare it, it is not pinned, and nothing is lost with it.
 * - The page that is being added is not evicted. Any other may be, so a caller uses one page at a
 *   time, or pins.
 * - Pages that cannot go count too: the bound may be exceeded by them alone.
 *
 * The oldest page goes first; one that was used since it was last passed is passed once more
 * (second chance). A use only sets a flag. It reads and writes nothing.
 */

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

export class LoadedPages {
  /** Not an integer in general. */
  readonly pagesMax: number;
  /** Oldest first. */
  readonly #pages = new Map<MarkPage, PageHome>();
  readonly #pinned = new Set<MarkPage>();

  constructor(bytesMax: number) {
    this.pagesMax = bytesMax / loadedPageBytes;
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
    if (this.#isBeyond) this.#evict(passedMax, page);
  }

  /** The page is no part of the store any more, or has no marks. */
  remove(page: MarkPage): void {
    this.#pages.delete(page);
    this.#pinned.delete(page);
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
    if (this.#isBeyond) this.#evict(2 * this.#pages.size, undefined);
  }

  #evict(most: number, kept: MarkPage | undefined): void {
    let left = most;
    for (const [page, home] of this.#pages) {
      if (!this.#isBeyond || left === 0) return;
      left -= 1;
      this.#pages.delete(page);
      const stays = page === kept || page.passed() || this.#pinned.has(page);
      if (stays || !home.canSpare(page) || !page.isSpare) {
        this.#pages.set(page, home);
        continue;
      }
      page.evict();
      home.evicted(page);
    }
  }
}
