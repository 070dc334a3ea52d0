/**
 * One grain map in memory: a stretch of a stratum, its place in the file and its mark pages.
 *
 * A map is opened (its head read) and its pages loaded only when something in them is asked for
 * (`map-loader.ts`), so that opening a store costs nothing for maps that nobody touches. Knows its
 * geometry and its names; reads and writes nothing.
 */

import type { MapEntry } from '../format/basin.ts';
import {
  type MarkPageName,
  mapOverheadPages,
  mapPages,
  markPageCount,
} from '../format/grain-map.ts';
import { grainsPerMarkPage, pageBytes } from '../format/layout.ts';
import { present } from '../util/assert.ts';
import { longestRunTold, MarkPage, unwrittenPage } from './mark-page.ts';

export class GrainMap {
  readonly firstIndex: number;
  readonly grains: number;
  readonly grainExp: number;
  /** First page of the extent. */
  readonly page: number;
  /** The head as named by the basin; generation 0 was never written. */
  generation: number;
  crc: number;
  /** The head as named was made good: the next goes over it, not over its twin. */
  damaged = false;
  /** A durable record or basin has it; until then only this process knows of it. */
  durable: boolean;
  committedGrains: number;
  /** Committed or reserved. */
  takenGrains: number;
  /** Upper bound of the longest free run while the map is not opened. */
  readonly longestFree: number;
  #pages: readonly MarkPage[] | undefined;

  constructor(entry: MapEntry, grainExp: number, durable: boolean) {
    this.firstIndex = entry.firstIndex;
    this.grains = entry.grains;
    this.page = entry.page;
    this.generation = entry.generation;
    this.crc = entry.crc;
    this.longestFree = entry.longestFree;
    this.committedGrains = entry.grains - entry.free;
    this.takenGrains = this.committedGrains;
    this.grainExp = grainExp;
    this.durable = durable;
  }

  get extentPages(): number {
    return mapPages(this.grains, this.grainExp);
  }

  get opened(): boolean {
    return this.#pages !== undefined;
  }

  get pages(): readonly MarkPage[] {
    return present(this.#pages, 'an opened grain map');
  }

  /** Byte offset in the file of the grain with this index in the stratum. */
  grainOffset(index: number): number {
    const data = (this.page + mapOverheadPages(this.grains)) * pageBytes;
    return data + (index - this.firstIndex) * (1 << this.grainExp);
  }

  /** The mark page that has the grain with this index in the stratum. */
  pageOf(index: number): MarkPage {
    const ordinal = Math.floor((index - this.firstIndex) / grainsPerMarkPage);
    return this.pages[ordinal] as MarkPage;
  }

  /** The mark pages become known, by the names in the map's head; without one all are free. */
  open(names: readonly MarkPageName[] | undefined): void {
    const pages: MarkPage[] = [];
    for (let ordinal = 0; ordinal < markPageCount(this.grains); ordinal++) {
      const start = ordinal * grainsPerMarkPage;
      const grains = Math.min(grainsPerMarkPage, this.grains - start);
      const place = { ordinal, firstIndex: this.firstIndex + start, grains };
      pages.push(new MarkPage(place, names?.[ordinal] ?? unwrittenPage));
    }
    this.#pages = pages;
  }

  /** The map as its basin is to name it. */
  entry(): MapEntry {
    let longestFree = this.longestFree;
    if (this.#pages !== undefined) {
      longestFree = 0;
      // A hint may be low for grains that are only reserved; the name knows of committed ones.
      for (const { hint, name } of this.#pages) {
        longestFree = Math.max(longestFree, hint, name.longestFree);
      }
    }
    return {
      firstIndex: this.firstIndex,
      grains: this.grains,
      page: this.page,
      generation: this.generation,
      crc: this.crc,
      free: this.grains - this.committedGrains,
      longestFree: Math.min(longestFree, longestRunTold),
    };
  }
}

/** A map of free grains that no basin names yet. */
export function newMapEntry(firstIndex: number, grains: number, page: number): MapEntry {
  const longestFree = Math.min(grains, longestRunTold);
  return { firstIndex, grains, page, generation: 0, crc: 0, free: grains, longestFree };
}
