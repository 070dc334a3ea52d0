/**
 * Chooses the size of a stratum's next grain map, and its place in the file.
 *
 * Maps that values share grow with their stratum: each map costs extra pages, and a value cannot
 * cross from one map to the next. A large value has a map to itself. When the value is freed, the
 * map's pages return to the file, where they merge with free neighbours. A later value may take
 * several such extents.
 */

import { type MapPlacement, mapOverheadPages, mapPages } from '../../format/grain-map.ts';
import {
  furtherExtentsMax,
  grainsPerMarkPage,
  markPagesMax,
  pageBytes,
} from '../../format/layout.ts';
import { assert, present } from '../../util/assert.ts';
import type { Extent, Space } from '../file/space.ts';
import { growthBytes } from '../file/space-shares.ts';

/** A young stratum doubles its size with each map, up to maps of this size. */
const quicklyReachedBytes = 256 * 1024;
/**
 * A map with a head has at least this number of mark pages: with fewer, the head would be a large
 * part of its overhead. A map of one mark page has no head.
 */
const headedPagesMin = 8;
/**
 * A value of at least `ownMapBytes` has a map to itself, if at most `shareMapWith` values like it
 * would fit into a shared one.
 */
const ownMapBytes = 64 * 1024;
const shareMapWith = 8;
/**
 * No map is made smaller than this, and no value is divided into smaller extents, to fit free
 * space.
 */
const pieceBytesMin = 64 * 1024;

/** The stratum that needs another map, and the value that found no room. */
export interface MapRequest {
  readonly grainExp: number;
  /** Grains of its existing maps. */
  readonly totalGrains: number;
  /** Grains of the value. */
  readonly count: number;
  /** Minimum size of a map that values share. */
  readonly bytesMin: number;
}

/** Grains of the next map; exactly `count` if the value has it to itself. */
export function nextMapGrains({ grainExp, totalGrains, count, bytesMin }: MapRequest): number {
  const grainBytes = 2 ** grainExp;
  const total = totalGrains * grainBytes;
  const young = Math.max(bytesMin, Math.min(total, quicklyReachedBytes));
  const shared = Math.max(growthBytes(total), young);
  const own = count * grainBytes;
  if (own >= ownMapBytes && own * shareMapWith >= shared) return count;
  return Math.max(count, wholePages(Math.floor(shared / grainBytes)));
}

/** Rounds down to full mark pages, since a partly used one costs as much as a full one. */
function wholePages(grains: number): number {
  if (grains <= grainsPerMarkPage) return grains;
  const pages = Math.floor(grains / grainsPerMarkPage);
  return Math.min(pages < headedPagesMin ? 1 : pages, markPagesMax) * grainsPerMarkPage;
}

/**
 * Takes a place for a map of `wanted` grains from `space`. The map of a single value may have
 * several extents. A shared map gets fewer grains, at least `count`, if that avoids growth of the
 * file.
 */
export function placeMap(
  space: Space,
  grainExp: number,
  wanted: number,
  count: number,
): MapPlacement {
  const pages = mapPages(wanted, grainExp);
  if (wanted === count) {
    const { least, most } = piecesOf(pages);
    return spread(wanted, space.gather(pages, least, most));
  }
  const least = Math.max(mapPages(count, grainExp), pieceBytesMin / pageBytes);
  const available = (space.availableBacked(pages, least) ?? pages) - mapOverheadPages(wanted);
  const fitting = Math.floor((available * pageBytes) / 2 ** grainExp);
  const grains = Math.max(count, Math.min(wanted, fitting));
  const page = space.allocateForValues(mapPages(grains, grainExp));
  return { grains, page, further: [] };
}

/**
 * As `placeMap`, on a full disk: takes only space that the file has, even for a small map. Returns
 * undefined if there is none.
 */
export function placeMapInside(
  space: Space,
  grainExp: number,
  wanted: number,
  count: number,
): MapPlacement | undefined {
  const pages = mapPages(count, grainExp);
  const available = space.availableBacked(mapPages(wanted, grainExp), pages);
  if (available === undefined) {
    const pieces = piecesOf(pages);
    const parts = space.gather(pages, pieces.least, pieces.most, false);
    return parts === undefined ? undefined : spread(count, parts);
  }
  // The grains that fit into `available` pages, less the pages of the map's overhead.
  const room = (available * pageBytes) / 2 ** grainExp;
  const overhead = mapOverheadPages(Math.min(wanted, Math.max(1, Math.floor(room))));
  const fitting = Math.floor(((available - overhead) * pageBytes) / 2 ** grainExp);
  const grains = Math.max(count, Math.min(wanted, fitting));
  const page = space.allocateForValues(mapPages(grains, grainExp), false);
  return page === undefined ? undefined : { grains, page, further: [] };
}

/** Minimum length and maximum number of the extents of a value's own map. */
function piecesOf(pages: number): { least: number; most: number } {
  const most = furtherExtentsMax + 1;
  return { least: Math.max(pieceBytesMin / pageBytes, Math.ceil(pages / most)), most };
}

function spread(grains: number, [first, ...further]: readonly Extent[]): MapPlacement {
  assert(further.length <= furtherExtentsMax, 'a basin has room for the extents of a map');
  return { grains, page: present(first, 'an extent').page, further };
}
