/**
 * How large the next grain map of a stratum is, and where in the file it goes.
 *
 * Maps that values share grow with their stratum, since each costs pages besides its grains and a
 * value cannot go from one to the next. A large value has a map to itself: when it goes, its place
 * goes back to the file, where it joins others, and a later value may take several such places. It
 * takes space, and adds no map.
 */

import { type MapPlacement, mapOverheadPages, mapPages } from '../../format/grain-map.ts';
import {
  furtherExtentsMax,
  grainsPerMarkPage,
  markPagesMax,
  pageBytes,
} from '../../format/layout.ts';
import { present } from '../../util/assert.ts';
import type { Extent, Space } from '../file/space.ts';
import { growthBytes } from '../file/space-shares.ts';

/** A young stratum doubles up to maps of this size. */
const quicklyReachedBytes = 256 * 1024;
/**
 * Maps with a head have at least so many mark pages: with a few of them the head would be a good
 * part of what the map costs, and a map of one page has none.
 */
const headedPagesLeast = 8;
/**
 * A value has a map to itself from so many bytes on, where at most so many like it would share one.
 */
const ownMapBytes = 64 * 1024;
const shareMapWith = 8;
/** No map is made smaller, and no value broken into smaller pieces, to fit what is free. */
const pieceBytesLeast = 64 * 1024;

/** The stratum that is to have another map, and the value that it has no room for. */
export interface MapRequest {
  readonly grainExp: number;
  /** Grains of the maps that it has. */
  readonly totalGrains: number;
  /** Grains of the value. */
  readonly count: number;
  /** A map that values share has at least so many bytes. */
  readonly bytesLeast: number;
}

/** Grains of the next map: just `count` where the value has it to itself. */
export function nextMapGrains({ grainExp, totalGrains, count, bytesLeast }: MapRequest): number {
  const grainBytes = 2 ** grainExp;
  const total = totalGrains * grainBytes;
  const young = Math.max(bytesLeast, Math.min(total, quicklyReachedBytes));
  const shared = Math.max(growthBytes(total), young);
  const own = count * grainBytes;
  if (own >= ownMapBytes && own * shareMapWith >= shared) return count;
  return Math.max(count, wholePages(Math.floor(shared / grainBytes)));
}

/** So many grains, or the fewer that fill mark pages to the last: an empty one costs as much. */
function wholePages(grains: number): number {
  if (grains <= grainsPerMarkPage) return grains;
  const pages = Math.floor(grains / grainsPerMarkPage);
  return Math.min(pages < headedPagesLeast ? 1 : pages, markPagesMax) * grainsPerMarkPage;
}

/**
 * Takes the place of a map of `wanted` grains from `space`. That of a single value may lie in
 * several places; one that values share has fewer grains, if `count` at least, rather than that the
 * file grows.
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
  const least = Math.max(mapPages(count, grainExp), pieceBytesLeast / pageBytes);
  const available = space.available(pages, least) - mapOverheadPages(wanted);
  const fitting = Math.floor((available * pageBytes) / 2 ** grainExp);
  const grains = Math.max(count, Math.min(wanted, fitting));
  const page = space.allocateForValues(mapPages(grains, grainExp));
  return { grains, page, further: [] };
}

/**
 * As `placeMap`, where the disk has refused growth: in what the file has, however small the map
 * becomes; undefined where there is no such place.
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
  // As many grains as so many pages would have, less those of what stands in front of them.
  const room = (available * pageBytes) / 2 ** grainExp;
  const overhead = mapOverheadPages(Math.min(wanted, Math.max(1, Math.floor(room))));
  const fitting = Math.floor(((available - overhead) * pageBytes) / 2 ** grainExp);
  const grains = Math.max(count, Math.min(wanted, fitting));
  const page = space.allocateForValues(mapPages(grains, grainExp), false);
  return page === undefined ? undefined : { grains, page, further: [] };
}

/** How short the pieces of a value's own map may be, and how many there may be. */
function piecesOf(pages: number): { least: number; most: number } {
  const most = furtherExtentsMax + 1;
  return { least: Math.max(pieceBytesLeast / pageBytes, Math.ceil(pages / most)), most };
}

function spread(grains: number, [first, ...further]: readonly Extent[]): MapPlacement {
  return { grains, page: present(first, 'an extent').page, further };
}
