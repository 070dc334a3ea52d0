/**
 * What a disk holds of one file, as pages that are copied only when they change: so that thousands
 * of images of one file, each a few sectors apart, cost a few sectors each.
 *
 * Invariant: an image never changes; an editor changes only pages of its own. A page that is absent
 * reads as zeros, and so does everything past the length. Knows nothing of syncs or cuts.
 */

import { pageBytes } from '../../../src/format/layout.ts';

type Pages = ReadonlyMap<number, Uint8Array>;

const zeros = new Uint8Array(pageBytes);

function readPages(pages: Pages, length: number, target: Uint8Array, position: number): number {
  const end = Math.min(position + target.length, length);
  let at = position;
  while (at < end) {
    const within = at % pageBytes;
    const count = Math.min(pageBytes - within, end - at);
    const page = pages.get((at - within) / pageBytes) ?? zeros;
    target.set(page.subarray(within, within + count), at - position);
    at += count;
  }
  return Math.max(0, end - position);
}

export class DiskImage {
  static readonly empty = new DiskImage(new Map(), 0);
  readonly length: number;
  readonly #pages: Pages;

  constructor(pages: Pages, length: number) {
    this.#pages = pages;
    this.length = length;
  }

  /** Returns the bytes read, fewer at the end of the file. */
  read(target: Uint8Array, position: number): number {
    return readPages(this.#pages, this.length, target, position);
  }

  edit(): DiskEditor {
    return new DiskEditor(this.#pages, this.length);
  }
}

export class DiskEditor {
  readonly #pages: Map<number, Uint8Array>;
  /** Pages that no image shares. */
  #own = new Set<number>();
  #length: number;

  constructor(pages: Pages, length: number) {
    this.#pages = new Map(pages);
    this.#length = length;
  }

  get length(): number {
    return this.#length;
  }

  read(target: Uint8Array, position: number): number {
    return readPages(this.#pages, this.#length, target, position);
  }

  /** Writes without regard to the length; a whole page is taken over, not copied. */
  write(bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      const at = position + done;
      const within = at % pageBytes;
      const count = Math.min(pageBytes - within, bytes.length - done);
      const part = bytes.subarray(done, done + count);
      const page = (at - within) / pageBytes;
      if (count === pageBytes) {
        this.#pages.set(page, part);
        this.#own.delete(page);
      } else this.#ownPage(page).set(part, within);
      done += count;
    }
  }

  #ownPage(page: number): Uint8Array {
    const known = this.#pages.get(page);
    if (known !== undefined && this.#own.has(page)) return known;
    const own = new Uint8Array(pageBytes);
    if (known !== undefined) own.set(known);
    this.#pages.set(page, own);
    this.#own.add(page);
    return own;
  }

  /** Sets the length; what is past a shorter one is gone. */
  resize(length: number): void {
    if (length < this.#length) this.clearFrom(length);
    this.#length = length;
  }

  /** Makes everything from here on zeros. */
  clearFrom(position: number): void {
    const first = Math.ceil(position / pageBytes);
    for (const page of [...this.#pages.keys()]) {
      if (page < first) continue;
      this.#pages.delete(page);
      this.#own.delete(page);
    }
    const within = position % pageBytes;
    const last = (position - within) / pageBytes;
    if (within > 0 && this.#pages.has(last)) this.#ownPage(last).fill(0, within);
  }

  /** What it holds now. Pages are shared from here on. */
  image(): DiskImage {
    this.#own = new Set();
    return new DiskImage(new Map(this.#pages), this.#length);
  }
}
