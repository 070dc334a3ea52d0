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
  readonly firstIndex: number;
  readonly grains: number;
  /** Undefined: all of its grains are free. Valid until the next turn of the event loop. */
  readonly marks: Uint8Array | undefined;
}

/**
 * The mark pages of a map, each read when it is its turn; others may run in between. Ends if the
 * map is dropped meanwhile. Throws `VARVE_CORRUPT`, `VARVE_IO`.
 */
export function* marksOf(
  reader: FileReader,
  stratum: Stratum,
  map: GrainMap,
): Generator<PageMarks, void, undefined> {
  let names: readonly MarkPageName[] | undefined;
  for (let ordinal = 0; ordinal < markPageCount(map.grains); ordinal++) {
    const start = ordinal * grainsPerMarkPage;
    const firstIndex = map.firstIndex + start;
    const grains = Math.min(grainsPerMarkPage, map.grains - start);
    if (stratum.mapWith(firstIndex) !== map) return;
    if (!map.opened) names ??= namesOf(reader, stratum, map);
    const marks = marksOfPage(reader, map, { ordinal, grains, name: names?.[ordinal] });
    yield { firstIndex, grains, marks: marks ?? stratum.find(firstIndex)?.page.marks };
  }
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
  { firstIndex, grains, marks }: PageMarks,
  changes: StratumChanges | undefined,
  visit: (index: number, count: number) => void,
): void {
  if (marks === undefined) return;
  const scan = new MarkScan(marks, grains);
  while (scan.next()) {
    const index = firstIndex + scan.at;
    if (wasLive(scan.mark, changes, index)) visit(index, scan.count);
  }
}
