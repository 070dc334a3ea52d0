/**
 * One grain map in memory: a stretch of a stratum, its places in the file and its mark pages.
 *
 * A map is opened (its head read) and its pages loaded only when something in them is asked for
 * (`map-loader.ts`), so that opening a store costs nothing for maps that nobody touches. Knows its
 * geometry and its names; reads and writes nothing.
 */

import { internal } from '../../errors.ts';
import type { MapEntry } from '../../format/basin.ts';
import {
  hasHead,
  type MapExtent,
  type MapPlacement,
  type MarkPageName,
  mapExtents,
  mapOverheadPages,
  markPageCount,
} from '../../format/grain-map.ts';
import { grainsPerMarkPage, pageBytes } from '../../format/layout.ts';
import { present } from '../../util/assert.ts';
import type { FilePart } from '../file/file-parts.ts';
import { longestRunTold } from './length-buckets.ts';
import { MarkPage, unwrittenPage } from './mark-page.ts';

export class GrainMap {
  readonly firstIndex: number;
  readonly grains: number;
  readonly grainExp: number;
  /** First page of the first extent. */
  readonly page: number;
  /** Where its marks and then its grains are, one extent after another. */
  readonly extents: readonly MapExtent[];
  /** What the basin names, the head or the one mark page; generation 0 was never written. */
  generation: number;
  crc: number;
  /** The head as named was made good: the next goes over it, not over its twin. */
  damaged = false;
  /** A durable record or basin has it; until then only this process knows of it. */
  durable: boolean;
  /** A record that is being made or written adds it: it stays, though nothing may be in it. */
  beingAdded = false;
  committedGrains: number;
  /** Committed or reserved. */
  takenGrains: number;
  /** Upper bound of the longest free run while the map is not opened. */
  readonly longestFree: number;
  /** A value had it to itself and is gone: it is to be given back. */
  vacated = false;
  /** Its mark pages and head lie where the file has been written once. */
  marksBacked = true;
  /** Its grains are in several places of the file. */
  readonly spread: boolean;
  /** Byte offset of its first grain, where they are all in one place. */
  readonly #grainsOffset: number;
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
    this.extents = mapExtents(entry, grainExp);
    this.spread = this.extents.length > 1;
    this.#grainsOffset = this.page * pageBytes + this.#grainsFrom;
  }

  /** False where the basin names the one mark page. */
  get hasHead(): boolean {
    return hasHead(this.grains);
  }

  get opened(): boolean {
    return this.#pages !== undefined;
  }

  get pages(): readonly MarkPage[] {
    return present(this.#pages, 'an opened grain map');
  }

  /** Byte offset in the file of the grain with this index in the stratum. */
  grainOffset(index: number): number {
    const within = (index - this.firstIndex) * (1 << this.grainExp);
    return this.spread ? this.#place(this.#grainsFrom + within) : this.#grainsOffset + within;
  }

  /** Bytes in front of the grains. */
  get #grainsFrom(): number {
    return mapOverheadPages(this.grains) * pageBytes;
  }

  /** Byte offset in the file of the byte `within` of the map's extents. */
  #place(within: number): number {
    let from = within;
    for (const { page, pages } of this.extents) {
      if (from < pages * pageBytes) return page * pageBytes + from;
      from -= pages * pageBytes;
    }
    throw internal('a grain is within an extent of its map');
  }

  /** Where `bytes` bytes are from the grain `index` on; undefined where they are in one place. */
  parts(index: number, bytes: number): FilePart[] | undefined {
    if (!this.spread) return undefined;
    let from = this.#grainsFrom + (index - this.firstIndex) * (1 << this.grainExp);
    let rest = bytes;
    const parts: FilePart[] = [];
    for (const { page, pages } of this.extents) {
      const room = pages * pageBytes - from;
      if (room > 0 && rest > 0) {
        parts.push({ offset: page * pageBytes + from, bytes: Math.min(room, rest) });
        rest -= Math.min(room, rest);
      }
      from = Math.max(0, -room);
    }
    return parts.length > 1 ? parts : undefined;
  }

  /** Pages of its marks and head, from its first page on. */
  get overheadPages(): number {
    return mapOverheadPages(this.grains);
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

  /** Its one mark page as the basin names it. */
  singleName(): MarkPageName {
    const { generation, crc, grains, committedGrains, longestFree } = this;
    return { generation, crc, free: grains - committedGrains, longestFree };
  }

  /** The map as its basin is to name it. */
  entry(): MapEntry {
    let { longestFree } = this;
    if (this.#pages !== undefined) {
      longestFree = 0;
      for (const { name } of this.#pages) longestFree = Math.max(longestFree, name.longestFree);
    }
    return {
      firstIndex: this.firstIndex,
      grains: this.grains,
      page: this.page,
      further: this.extents.slice(1),
      generation: this.generation,
      crc: this.crc,
      free: this.grains - this.committedGrains,
      longestFree: Math.min(longestFree, longestRunTold),
    };
  }
}

/** A map of free grains that no basin names yet. */
export function newMapEntry(firstIndex: number, placement: MapPlacement): MapEntry {
  const { grains, page, further } = placement;
  const longestFree = Math.min(grains, longestRunTold);
  return { firstIndex, grains, page, further, generation: 0, crc: 0, free: grains, longestFree };
}
