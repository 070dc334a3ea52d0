/**
 * Copies a segment of the commit log to another place.
 *
 * Invariant: each whole sector of the copy names its own place, and is otherwise the same. The
 * records of the segment are all settled, so opening looks for none of them: only the root names
 * the segment. Bodies in extents of their own stay where they are.
 */

import { pageBytes, sectorBytes, sectorsPerPage } from '../../format/layout.ts';
import { renumberSector } from '../../format/log-sector.ts';
import type { FileReader } from '../file/file-reader.ts';
import type { LogSegment } from '../log/commit-log.ts';
import type { Piece } from './map-copy.ts';

/** Pages of one piece. */
const piecePages = 64;

/** The pieces of the copy that begins with `page`, each read when it is asked for. */
export function* piecesOfSegment(
  reader: FileReader,
  segment: LogSegment,
  page: number,
): Generator<Piece> {
  for (let at = 0; at < segment.pages; at += piecePages) {
    const pages = Math.min(piecePages, segment.pages - at);
    const bytes = reader.bytes((segment.page + at) * pageBytes, pages * pageBytes);
    for (let sector = 0; sector < pages * sectorsPerPage; sector++) {
      const one = bytes.subarray(sector * sectorBytes, (sector + 1) * sectorBytes);
      const from = (segment.page + at) * sectorsPerPage + sector;
      const to = (page + at) * sectorsPerPage + sector;
      renumberSector(one, { from, to }, reader.salt);
    }
    yield { offset: (page + at) * pageBytes, bytes };
  }
}
