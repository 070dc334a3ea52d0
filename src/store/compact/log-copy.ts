/**
 * Copies a segment of the commit log, and the bodies of its records that have extents of their own,
 * to other places.
 *
 * Invariant: each whole sector of the copy names its own place, and the place of the body of its
 * record. It is otherwise the same. The records of the segment are all settled, so opening looks
 * for none of them: only the root names the segment and the bodies.
 */

import { pageBytes, sectorBytes, sectorsPerPage } from '../../format/layout.ts';
import { relocateSector } from '../../format/log-sector.ts';
import type { BodyEntry } from '../../format/root.ts';
import { present } from '../../util/assert.ts';
import type { FileReader } from '../file/file-reader.ts';
import type { Extent, Space } from '../file/space.ts';
import type { LogSegment } from '../log/commit-log.ts';
import type { Piece } from './map-copy.ts';

/** Pages of one piece. */
const piecePages = 64;

/** The new place of each extent, by the first page of the old one. */
export type NewPlaces = ReadonlyMap<number, Extent>;

/** Takes pages before page `end` for each extent; undefined if there are none for one of them. */
export function placesBelow(
  space: Space,
  extents: readonly Extent[],
  end: number,
): NewPlaces | undefined {
  const places = new Map<number, Extent>();
  for (const { page, pages } of extents) {
    const to = space.takeBelow(pages, end);
    if (to === undefined) {
      for (const taken of places.values()) space.free(taken.page, taken.pages);
      return undefined;
    }
    places.set(page, { page: to, pages });
  }
  return places;
}

/** The pieces of the copies, each read when it is asked for. */
export function* piecesOfSegment(
  reader: FileReader,
  { segment, bodies }: { readonly segment: LogSegment; readonly bodies: readonly BodyEntry[] },
  places: NewPlaces,
): Generator<Piece> {
  const bodyPage = (page: number): number => places.get(page)?.page ?? page;
  for (const extent of [segment, ...bodies]) {
    const { page: first, pages: count } = extent;
    const { page } = present(places.get(first), 'the new place of an extent of the log');
    for (let at = 0; at < count; at += piecePages) {
      const pages = Math.min(piecePages, count - at);
      const bytes = reader.bytes((first + at) * pageBytes, pages * pageBytes);
      for (let sector = 0; extent === segment && sector < pages * sectorsPerPage; sector++) {
        const one = bytes.subarray(sector * sectorBytes, (sector + 1) * sectorBytes);
        const from = (first + at) * sectorsPerPage + sector;
        const to = (page + at) * sectorsPerPage + sector;
        relocateSector(one, { from, to, bodyPage }, reader.salt);
      }
      yield { offset: (page + at) * pageBytes, bytes };
    }
  }
}
