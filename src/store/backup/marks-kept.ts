/**
 * The sealed mark pages of a copy between their making and their writing with the grains.
 *
 * Invariant: at most some megabytes of them are in memory. The others are written to their place in
 * the target and read back, so memory does not grow with the store. `take` gives the pages that
 * `add` was given.
 */

import { openMarkPage } from '../../format/grain-map.ts';
import { pageBytes } from '../../format/layout.ts';
import { markPageOffset, type PlacedMap, type SealedMap } from './copy-layout.ts';
import type { TargetFile } from './target-file.ts';

/** Mark pages in memory: 8 MiB, the marks of 33 million grains. */
const keptPagesMax = 2048;

export class MarksKept {
  readonly #target: TargetFile;
  readonly #salt: Uint8Array;
  readonly #pagesMax: number;
  readonly #kept = new Map<PlacedMap, readonly Uint8Array[]>();
  #pages = 0;

  /** `pagesMax`: pages in memory. */
  constructor(target: TargetFile, salt: Uint8Array, pagesMax = keptPagesMax) {
    this.#target = target;
    this.#salt = salt;
    this.#pagesMax = pagesMax;
  }

  /** Rejects with `VARVE_IO`. */
  async add({ map, pages }: SealedMap): Promise<void> {
    if (this.#pages + pages.length <= this.#pagesMax) {
      this.#pages += pages.length;
      this.#kept.set(map, pages);
      return;
    }
    for (const [ordinal, page] of pages.entries()) {
      await this.#target.write([page], markPageOffset(map, ordinal));
    }
  }

  /** The pages of a map, once. Rejects with `VARVE_CORRUPT`, `VARVE_IO`. */
  async take(map: PlacedMap): Promise<readonly Uint8Array[]> {
    const kept = this.#kept.get(map);
    if (kept !== undefined) {
      this.#kept.delete(map);
      this.#pages -= kept.length;
      return kept;
    }
    const pages: Uint8Array[] = [];
    for (const [ordinal, { generation, crc }] of map.names.entries()) {
      const offset = markPageOffset(map, ordinal);
      const bytes = new Uint8Array(pageBytes);
      await this.#target.read(bytes, offset);
      openMarkPage(bytes, { page: offset / pageBytes, generation, crc }, this.#salt);
      pages.push(bytes);
    }
    return pages;
  }
}
