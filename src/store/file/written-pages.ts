/**
 * The pages that are known to have blocks on the disk, since this process has written them. A later
 * write there cannot fail for lack of space, unless the file system copies on write.
 *
 * Invariant: only pages of writes that returned are known. Pages of earlier processes are not: they
 * may be holes of a sparse file. It keeps one range, where the file grows, and some thousand single
 * pages.
 */

const singlesMax = 16_384;

export class WrittenPages {
  readonly #from: number;
  #to: number;
  readonly #singles = new Set<number>();

  /** Pages from `from` up to `to` are known. */
  constructor(from: number, to: number) {
    this.#from = from;
    this.#to = to;
  }

  /** A write of the pages from `page` up to `endPage` has returned. */
  add(page: number, endPage: number): void {
    if (page >= this.#from && page <= this.#to) {
      this.#to = Math.max(this.#to, endPage);
      return;
    }
    if (endPage - page > singlesMax) return;
    if (this.#singles.size + endPage - page > singlesMax) this.#singles.clear();
    for (let at = page; at < endPage; at++) this.#singles.add(at);
  }

  /** True if all pages from `page` up to `endPage` are known. */
  has(page: number, endPage: number): boolean {
    for (let at = page; at < endPage; at++) {
      const isKnown = (at >= this.#from && at < this.#to) || this.#singles.has(at);
      if (!isKnown) return false;
    }
    return true;
  }
}
