/**
 * Reads the marks of a grain map, page by page, for a copy of its live values. Reads only.
 *
 * Invariants:
 * - The marks are those of the last published batch when the page is read.
 * - No map is opened and no page is loaded for it, so a backup neither evicts marks that others use
 *   nor leaves memory behind. Only a damaged page goes through the Atlas, which heals it.
 */

import { isVarveError } from '../../errors.ts';
import {
  decodeMapHead,
  type MarkPageName,
  mapHeadPage,
  markPageCount,
  markPagePage,
  openMarkPage,
} from '../../format/grain-map.ts';
import { grainsPerMarkPage, marksBytes } from '../../format/layout.ts';
import type { FileReader } from '../file/file-reader.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { Stratum } from '../grains/stratum.ts';
import { MarkScan } from '../marks/mark-scan.ts';
import { areMarksPossible } from '../marks/packed-marks.ts';
import { type StratumChanges, wasLive } from './changes-since.ts';

/** The marks of one page. */
export interface PageMarks {
  readonly map: GrainMap;
  readonly firstIndex: number;
  readonly grains: number;
  /** Index of the first grain that was not read before. */
  readonly from: number;
  /** Undefined: all of its grains are free. Valid until the next turn of the event loop. */
  readonly marks: Uint8Array | undefined;
}

/**
 * Reads the mark pages of a stratum in the order of their grains. Maps may be dropped, and replaced
 * by others with the same grains, between two reads: it goes on by index.
 */
export class MarksReader {
  readonly #reader: FileReader;
  readonly #stratum: Stratum;
  readonly #endIndex: number;
  /** Grains before this one have been read. */
  #next = 0;
  #map: GrainMap | undefined;
  /** The names of the pages of `#map`, if it is not opened. */
  #names: readonly MarkPageName[] | undefined;

  /** Maps from `endIndex` on are left out. */
  constructor(reader: FileReader, stratum: Stratum, endIndex: number) {
    this.#reader = reader;
    this.#stratum = stratum;
    this.#endIndex = endIndex;
  }

  /** The map that was read last. */
  get map(): GrainMap | undefined {
    return this.#map;
  }

  /** Leaves out the rest of that map. */
  skipMap(): void {
    if (this.#map !== undefined) this.#next = this.#map.firstIndex + this.#map.grains;
  }

  /**
   * The next page, as of now; undefined after the last one. Throws `VARVE_CORRUPT`, `VARVE_IO`.
   */
  next(): PageMarks | undefined {
    const from = this.#next;
    const map = firstMapAfter(this.#stratum.maps, from);
    if (map === undefined || !map.durable || map.firstIndex >= this.#endIndex) return undefined;
    if (map !== this.#map) this.#names = undefined;
    this.#map = map;
    const within = Math.max(0, from - map.firstIndex);
    const ordinal = Math.floor(within / grainsPerMarkPage);
    const firstIndex = map.firstIndex + ordinal * grainsPerMarkPage;
    const grains = Math.min(grainsPerMarkPage, map.firstIndex + map.grains - firstIndex);
    if (!map.opened) this.#names ??= namesOf(this.#reader, this.#stratum, map);
    const at = { ordinal, grains, name: this.#names?.[ordinal] };
    const read = marksOfPage(this.#reader, map, at);
    const marks = read ?? this.#stratum.find(firstIndex)?.page.marks;
    this.#next = firstIndex + grains;
    return { map, firstIndex, grains, from: Math.max(from, firstIndex), marks };
  }
}

/** The first map with a grain at or after this index. */
function firstMapAfter(maps: readonly GrainMap[], index: number): GrainMap | undefined {
  let low = 0;
  let high = maps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { firstIndex, grains } = maps[middle] as GrainMap;
    if (firstIndex + grains <= index) low = middle + 1;
    else high = middle;
  }
  return maps[low];
}

/** The names of a map's pages; undefined if it had to be opened, because its head is damaged. */
function namesOf(
  reader: FileReader,
  stratum: Stratum,
  map: GrainMap,
): readonly MarkPageName[] | undefined {
  if (!map.hasHead) return [map.singleName()];
  const { generation, crc } = map.name;
  const unwritten = { generation: 0, crc: 0, free: 0, longestFree: 0 };
  if (generation === 0) return Array.from({ length: markPageCount(map.grains) }, () => unwritten);
  const page = mapHeadPage(map.page, generation);
  const pages = unlessDamaged(() => {
    const head = decodeMapHead(reader.readPage(page), { page, generation, crc }, reader.salt);
    const { firstIndex, grains } = head.owner;
    const isOfMap = firstIndex === map.firstIndex && grains === map.grains;
    return isOfMap ? head.pages : undefined;
  });
  if (pages === undefined) stratum.openedWith(map.firstIndex);
  return pages;
}

const noMarks = new Uint8Array(marksBytes);

/** Undefined if the page is damaged. */
function marksOfPage(
  reader: FileReader,
  map: GrainMap,
  at: { ordinal: number; grains: number; name: MarkPageName | undefined },
): Uint8Array | undefined {
  const { ordinal, grains } = at;
  const page = map.opened ? map.pages[ordinal] : undefined;
  if (page?.loaded) return page.marks;
  const name = page?.name ?? at.name;
  if (name === undefined) return undefined;
  if (name.generation === 0) return noMarks;
  return unlessDamaged(() => {
    const place = markPagePage(map, ordinal, name.generation);
    const bytes = reader.readPage(place);
    const { generation, crc } = name;
    const { marks } = openMarkPage(bytes, { page: place, generation, crc }, reader.salt);
    return areMarksPossible(marks, grains) ? marks : undefined;
  });
}

function unlessDamaged<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (isVarveError(error, 'VARVE_CORRUPT')) return undefined;
    throw error;
  }
}

/** Calls `visit` for each value of the page that was live as of the batch of the changes. */
export function visitLive(
  { firstIndex, grains, from, marks }: PageMarks,
  changes: StratumChanges | undefined,
  visit: (index: number, count: number) => void,
): void {
  if (marks === undefined) return;
  const scan = new MarkScan(marks, grains);
  while (scan.next()) {
    const index = firstIndex + scan.at;
    if (index >= from && wasLive(scan.mark, changes, index)) visit(index, scan.count);
  }
}
