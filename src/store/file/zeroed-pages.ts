/**
 * The pages that this process has filled with zeros and not written since: a log segment there
 * needs no zeros of its own.
 *
 * Invariant: the pages from `#from` up to `#to` were filled by writes that returned, and no other
 * write of them was issued later. One range is enough, since the file is filled at its end. It does
 * not know which pages are in use.
 */

export class ZeroedPages {
  #from = 0;
  #to = 0;

  /** A write of zeros to the pages from `page` up to `endPage` has returned. */
  add(page: number, endPage: number): void {
    if (page !== this.#to || this.#from === this.#to) this.#from = page;
    this.#to = endPage;
  }

  /** Call this before a write of the pages from `page` up to `endPage` is issued. */
  remove(page: number, endPage: number): void {
    if (page < this.#to && endPage > this.#from) this.#from = Math.min(endPage, this.#to);
  }

  /** The file was cut: pages from `endPage` on are not there. */
  cut(endPage: number): void {
    this.#to = Math.min(this.#to, endPage);
    this.#from = Math.min(this.#from, this.#to);
  }

  has(page: number, pages: number): boolean {
    return page >= this.#from && page + pages <= this.#to;
  }
}
