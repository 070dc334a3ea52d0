/**
 * The values of a grain map, in pieces to be written to the places of the maps that replace it.
 *
 * Invariants:
 * - The pieces have each value that the map has when copying begins, also those that only records
 *   carry. Values that are freed meanwhile may be in them.
 * - Marks are not copied: the settle after the move writes them from memory.
 *
 * Requires: the map is kept still (`MapReplacements.keepStill`). It decides nothing.
 */

import type { MapMove } from '../commit/commit-plan.ts';
import { partsWithin } from '../file/file-parts.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import { nextClear, nextSet } from '../marks/bit-runs.ts';
import type { MarkPage } from '../marks/mark-page.ts';
import { contentOf, grainsOffsetOf, placesOf } from '../moves/map-moves.ts';

/** Free grains up to this many bytes are copied with the values around them: it saves a write. */
const gapBytesMax = 16 * 1024;

/** Bytes of the map, and their offset in the file at the new place. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Reads the file with the carried values over it. */
export interface GrainSource {
  copy(target: Uint8Array, offset: number): void;
}

/**
 * The pieces, each of at most `pieceBytes` bytes and read when it is asked for. Throws
 * `VARVE_CORRUPT`, `VARVE_IO`.
 */
export function* piecesOf(
  source: GrainSource,
  { stratum, map, parts }: MapMove,
  pieceBytes: number,
): Generator<Piece> {
  const places = placesOf(map);
  for (const markPage of stratum.pagesOf(map)) {
    // The page may be evicted before the next piece: what is to be copied is known before.
    const ranges = [...rangesOf(map, markPage)];
    for (const part of parts) {
      const content = contentOf(map, part);
      const to = grainsOffsetOf(part) - content.from;
      for (const range of ranges) {
        const end = Math.min(range.to, content.from + content.bytes);
        for (let at = Math.max(range.from, content.from); at < end; at += pieceBytes) {
          const bytes = new Uint8Array(Math.min(pieceBytes, end - at));
          let filled = 0;
          for (const place of partsWithin(places, at, bytes.length)) {
            source.copy(bytes.subarray(filled, filled + place.bytes), place.offset);
            filled += place.bytes;
          }
          yield { offset: to + at, bytes };
        }
      }
    }
  }
}

/** A range of the map's content, in bytes. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** The ranges with grains of the page that are taken. */
function* rangesOf(map: GrainMap, { taken, grains, firstIndex }: MarkPage): Generator<Range> {
  const grainBytes = 2 ** map.grainExp;
  const { from: start } = contentOf(map, { firstIndex, grains, page: 0 });
  let open: Range | undefined;
  for (let at = nextSet(taken, 0, grains); at < grains; ) {
    const end = nextClear(taken, at, grains);
    const range = { from: start + at * grainBytes, to: start + end * grainBytes };
    if (open !== undefined && range.from - open.to > gapBytesMax) {
      yield open;
      open = range;
    } else open = { from: open?.from ?? range.from, to: range.to };
    at = nextSet(taken, end, grains);
  }
  if (open !== undefined) yield open;
}
