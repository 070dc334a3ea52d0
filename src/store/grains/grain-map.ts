/**
 * One grain map in memory: a range of a stratum's grains, its extents in the file and its mark
 * pages.
 *
 * A map is opened (its head is read) and its pages are loaded only on first use (`map-loader.ts`),
 * so that opening a store costs nothing for untouched maps. It knows its geometry and its names; it
 * reads and writes nothing.
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
import { assert, present } from '../../util/assert.ts';
import type { FilePart } from '../file/file-parts.ts';
import { runLengthMax } from '../marks/length-buckets.ts';
import { MarkPage, unwrittenPage } from '../marks/mark-page.ts';

export class GrainMap {
  readonly firstIndex: number;
  readonly grains: number;
  readonly grainExp: number;
  /** First page of the first extent. */
  readonly page: number;
  /** Its extents in order: marks first, then grains. */
  readonly extents: readonly MapExtent[];
  /** The page that the basin names: the head or the only mark page; generation 0: never written. */
  name: { readonly generation: number; readonly crc: number };
  #damaged = false;
  /** A durable record or basin names it; until then only this process knows it. */
  durable: boolean;
  /** A record in flight adds it: it stays even if it is empty. */
  beingAdded = false;
  committedGrains: number;
  /** Committed or reserved. */
  takenGrains: number;
  /** The one value that it was made for has been freed: it must be given back. */
  vacated = false;
  /** Its head and mark pages lie where the file has been written before. */
  marksBacked = true;
  /** Upper bound of the longest free run while the map is not opened. */
  readonly longestFree: number;
  /** It is being copied to another place: none of its grains is reserved. */
  isStill = false;
  /** No new value is stored in it: its values are to be pushed again elsewhere. */
  isClosed = false;
  /** It has several extents. */
  readonly spread: boolean;
  /** Byte offset of its first grain, if it has one extent. */
  readonly #grainsOffset: number;
  #pages: readonly MarkPage[] | undefined;

  constructor(entry: MapEntry, grainExp: number, durable: boolean) {
    this.firstIndex = entry.firstIndex;
    this.grains = entry.grains;
    this.page = entry.page;
    this.name = { generation: entry.generation, crc: entry.crc };
    this.longestFree = entry.longestFree;
    this.committedGrains = entry.grains - entry.free;
    this.takenGrains = this.committedGrains;
    this.grainExp = grainExp;
    this.durable = durable;
    this.extents = mapExtents(entry, grainExp);
    this.spread = this.extents.length > 1;
    this.#grainsOffset = this.page * pageBytes + this.#grainsFrom;
  }

  /** Values are taken out of it: it gets no new ones. */
  close(closed: boolean): void {
    this.isClosed = closed;
  }

  /** It begins to be copied, or no longer is. */
  keepStill(still: boolean): void {
    this.isStill = still;
  }

  /** The record that adds it is durable. */
  becomeDurable(): void {
    this.durable = true;
    this.beingAdded = false;
  }

  /** A batch that adds it is planned; or has failed. */
  setBeingAdded(planned: boolean): void {
    assert(!this.durable, 'a durable grain map is not added again');
    this.beingAdded = planned;
  }

  /** Counts `count` more committed grains; a negative number for fewer. */
  countCommitted(count: number): void {
    this.committedGrains += count;
  }

  /** Counts `count` more taken grains; a negative number for fewer. */
  countTaken(count: number): void {
    this.takenGrains += count;
  }

  vacate(): void {
    assert(this.takenGrains === 0, 'a map that is given back is empty');
    this.vacated = true;
  }

  backMarks(backed: boolean): void {
    this.marksBacked = backed;
  }

  /** The head was damaged: its slot is written next, not that of its twin. */
  healed(): void {
    this.#damaged = true;
  }

  /** The healed basin names an earlier generation of the page than there is. */
  rewrittenAs({ generation, crc }: { generation: number; crc: number }): void {
    assert(generation > this.name.generation, 'a grain map gets a later name');
    this.name = { generation, crc };
  }

  /** The generation of the head that a settle writes next. */
  get nextGeneration(): number {
    return this.name.generation + (this.#damaged ? 2 : 1);
  }

  /** A settle writes the page that the basin names. */
  sealedAs({ generation, crc }: { generation: number; crc: number }): void {
    assert(generation > this.name.generation, 'a grain map gets a later name');
    this.name = { generation, crc };
    this.#damaged = false;
  }

  /** False if the basin names its only mark page instead. */
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

  /**
   * The parts of the file with `bytes` bytes from the grain `index` on; undefined if it is one
   * part.
   */
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

  /** True if the grain with this index in the stratum is one of the map's. */
  has(index: number): boolean {
    return index >= this.firstIndex && index < this.firstIndex + this.grains;
  }

  /** Pages of its marks and head, at its start. */
  get overheadPages(): number {
    return mapOverheadPages(this.grains);
  }

  /** The mark page that has the grain with this index in the stratum. */
  pageOf(index: number): MarkPage {
    const ordinal = Math.floor((index - this.firstIndex) / grainsPerMarkPage);
    return this.pages[ordinal] as MarkPage;
  }

  /** Creates the mark pages with the names of the map's head; without names all grains are free. */
  open(names: readonly MarkPageName[] | undefined): void {
    const count = names?.length ?? markPageCount(this.grains);
    assert(count === markPageCount(this.grains), 'a map has a name for each mark page');
    const pages: MarkPage[] = [];
    for (let ordinal = 0; ordinal < count; ordinal++) {
      const start = ordinal * grainsPerMarkPage;
      const grains = Math.min(grainsPerMarkPage, this.grains - start);
      const place = { ordinal, firstIndex: this.firstIndex + start, grains };
      pages.push(new MarkPage(place, names?.[ordinal] ?? unwrittenPage));
    }
    this.#pages = pages;
  }

  /** The name of its only mark page, as the basin has it. */
  singleName(): MarkPageName {
    const { grains, committedGrains, longestFree } = this;
    return { ...this.name, free: grains - committedGrains, longestFree };
  }

  /** Its entry in the basin. */
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
      ...this.name,
      free: this.grains - this.committedGrains,
      longestFree: Math.min(longestFree, runLengthMax),
    };
  }
}

/** The entry of a map that no settle has written, with `free` free grains. */
export function newMapEntry(
  firstIndex: number,
  placement: MapPlacement,
  free = placement.grains,
): MapEntry {
  const { grains, page, further } = placement;
  const longestFree = Math.min(grains, runLengthMax);
  return { firstIndex, grains, page, further, generation: 0, crc: 0, free, longestFree };
}
