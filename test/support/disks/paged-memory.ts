/**
 * Pages of a file that is not there: what strata read their maps from, and where a settle of one
 * stratum puts them.
 *
 * Invariant: a page that nobody wrote is VARVE_CORRUPT, as past the end of a file. It counts reads.
 * Which pages a settle writes is said here once more, plainly: mark pages, then the heads of the
 * maps that have one.
 */

import { corrupt } from '../../../src/errors.ts';
import {
  encodeMapHead,
  encodeMarkPage,
  hasHead,
  mapHeadPage,
  mapOwner,
  markPagePage,
} from '../../../src/format/grain-map.ts';
import { pageBytes } from '../../../src/format/layout.ts';
import {
  type LogHistory,
  noHistory,
  type PageSource,
} from '../../../src/store/file/page-source.ts';
import type { Stratum } from '../../../src/store/grains/stratum.ts';

export class PagedMemory implements PageSource {
  readonly salt: Uint8Array = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
  history: LogHistory = noHistory;
  readonly pages = new Map<number, Uint8Array>();
  reads = 0;

  readPage(page: number): Uint8Array {
    this.reads += 1;
    const bytes = this.pages.get(page);
    if (bytes === undefined) throw corrupt('there is no such page', { offset: page * pageBytes });
    return bytes.slice();
  }

  /** Writes every changed page of the stratum, as of `stamp`, and the heads above them. */
  settle(stratum: Stratum, stamp: number): void {
    const maps = new Set(stratum.dirtyPages().map(({ map }) => map));
    for (const { map, page } of stratum.dirtyPages()) {
      const generation = page.nextGeneration;
      const at = markPagePage(map, page.ordinal, generation);
      const content = { owner: mapOwner(stratum, map), ordinal: page.ordinal, marks: page.marks };
      const { bytes, crc } = encodeMarkPage(content, { page: at, generation, stamp }, this.salt);
      this.pages.set(at, bytes);
      page.sealedAs({ generation, crc }, stamp);
      stratum.pages.markWritten(page);
      page.becomeDurable();
      if (!hasHead(map.grains)) map.sealedAs({ generation, crc });
    }
    for (const map of maps) {
      if (!hasHead(map.grains)) continue;
      const generation = map.nextGeneration;
      const page = mapHeadPage(map.page, generation);
      const pages = map.pages.map(({ name }) => name);
      const head = encodeMapHead(
        { owner: mapOwner(stratum, map), pages },
        { page, generation, stamp },
        this.salt,
      );
      this.pages.set(page, head.bytes);
      map.sealedAs({ generation, crc: head.crc });
    }
  }
}
