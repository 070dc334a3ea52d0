/**
 * A grain map with its values moves to another place of the file.
 *
 * Invariant: whatever knows a value by its offset in the file follows the map: the values that only
 * the log has, those that are not trusted, and the cache. The old extents wait in the Atlas until no
 * header leads to them.
 */

import { mapPages } from '../../format/grain-map.ts';
import { pageBytes } from '../../format/layout.ts';
import type { MovedBytes } from '../file/file-parts.ts';
import type { Atlas } from './atlas.ts';
import type { GrainMap } from './grain-map.ts';
import type { Stratum } from './stratum.ts';

/** Follows the bytes that move. */
export interface MoveObserver {
  moved(parts: readonly MovedBytes[]): void;
}

/**
 * The map is in one extent from now on, which begins with `page`. Requires: its mark pages are
 * loaded, and the bytes of its values are there.
 */
export function moveMap(
  { atlas, values }: { readonly atlas: Atlas; readonly values: MoveObserver },
  stratum: Stratum,
  map: GrainMap,
  page: number,
): void {
  const parts: MovedBytes[] = [];
  let to = page * pageBytes;
  for (const extent of map.extents) {
    const bytes = extent.pages * pageBytes;
    parts.push({ from: extent.page * pageBytes, to, bytes });
    to += bytes;
  }
  atlas.moveMap(stratum, map, page);
  atlas.basinOf(stratum).touched();
  values.moved(parts);
}

/** Pages of a map in one extent. */
export function pagesOfMap({ grains, grainExp }: GrainMap): number {
  return mapPages(grains, grainExp);
}
