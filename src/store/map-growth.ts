/**
 * How large the next grain map of a stratum is, and where in the file it goes.
 *
 * Maps that values share grow with their stratum, since each costs pages besides its grains and a
 * value cannot go from one to the next. A large value has a map to itself: when it goes, its place
 * goes back to the file, where it joins others, and a later value may take several such places. It
 * takes space, and adds no map.
 */

import { type MapPlacement, mapOverheadPages, mapPages } from '../format/grain-map.ts';
import { furtherExtentsMax, grainsPerMarkPage, markPagesMax, pageBytes } from '../format/layout.ts';
import { present } from '../util/assert.ts';
import { growthBytes, type Space } from './space.ts';

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
    const most = furtherExtentsMax + 1;
    const least = Math.max(pieceBytesLeast / pageBytes, Math.ceil(pages / most));
    const [first, ...further] = space.gather(pages, least, most);
    return { grains: wanted, page: present(first, 'an extent').page, further };
  }
  const least = Math.max(mapPages(count, grainExp), pieceBytesLeast / pageBytes);
  const available = space.available(pages, least) - mapOverheadPages(wanted);
  const fitting = Math.floor((available * pageBytes) / 2 ** grainExp);
  const grains = Math.max(count, Math.min(wanted, fitting));
  return { grains, page: space.allocate(mapPages(grains, grainExp)), further: [] };
}
