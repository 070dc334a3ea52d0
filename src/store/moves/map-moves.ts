/**
 * A grain map with its values moves to other places of the file: others replace it.
 *
 * Invariant: whatever knows a value by its offset in the file follows the values: those that only
 * the log has, those that are not trusted, and the cache. The old extents wait in the Atlas until
 * no header leads to them.
 */

import { mapOverheadPages } from '../../format/grain-map.ts';
import { pageBytes } from '../../format/layout.ts';
import type { FilePart, MovedBytes } from '../file/file-parts.ts';
import { partsWithin } from '../file/file-parts.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { MapPart } from '../grains/map-parts.ts';
import type { Stratum } from '../grains/stratum.ts';

/** Knows values by their offsets in the file. */
export interface MoveObserver {
  /** `parts`: bytes that are elsewhere from now on; `left`: the places of the map so far. */
  moved(parts: readonly MovedBytes[], left: readonly FilePart[]): void;
}

/**
 * The maps `parts` replace the map. Requires: its marks are loaded, and the bytes of its values are
 * in the places of the parts.
 */
export function replaceMap(
  { atlas, values }: { readonly atlas: Atlas; readonly values: MoveObserver },
  stratum: Stratum,
  map: GrainMap,
  parts: readonly MapPart[],
): void {
  const moved = movesOf(map, parts);
  atlas.replaceMap(stratum, map, parts);
  atlas.basinOf(stratum).touched();
  values.moved(moved, placesOf(map));
}

/**
 * As `replaceMap`, where a settle has written the marks of the parts: they are read from there when
 * they are needed. `batch`: the one that replaced the map.
 */
export function placeParts(
  values: MoveObserver,
  stratum: Stratum,
  map: GrainMap,
  { parts, batch }: { readonly parts: readonly MapPart[]; readonly batch: number },
): void {
  stratum.moves.placeParts(map, parts, batch);
  values.moved(movesOf(map, parts), placesOf(map));
}

function movesOf(map: GrainMap, parts: readonly MapPart[]): MovedBytes[] {
  return parts.flatMap((part) => [...movedBytes(map, part)]);
}

/** The extents of a map as ranges of bytes. */
export function placesOf(map: GrainMap): FilePart[] {
  return map.extents.map(({ page, pages }) => {
    return { offset: page * pageBytes, bytes: pages * pageBytes };
  });
}

/** The range of the part's grains in the content of the old map, in bytes. */
export function contentOf(old: GrainMap, part: MapPart): { from: number; bytes: number } {
  const grainBytes = 2 ** old.grainExp;
  const from = old.overheadPages * pageBytes + (part.firstIndex - old.firstIndex) * grainBytes;
  return { from, bytes: part.grains * grainBytes };
}

/** The offset in the file of the part's first grain. */
export function grainsOffsetOf({ grains, page }: MapPart): number {
  return (page + mapOverheadPages(grains)) * pageBytes;
}

function* movedBytes(old: GrainMap, part: MapPart): Generator<MovedBytes> {
  const content = contentOf(old, part);
  let to = grainsOffsetOf(part);
  for (const { offset, bytes } of partsWithin(placesOf(old), content.from, content.bytes)) {
    yield { from: offset, to, bytes };
    to += bytes;
  }
}
