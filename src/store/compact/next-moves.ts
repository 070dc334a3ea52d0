/**
 * Decides which grain maps move, what replaces them, and where that is.
 *
 * Invariants:
 * - A map of which few grains have values gives way to maps that leave out what is free, if that
 *   saves a quarter of its pages. Others move as they are.
 * - A map moves to free pages that lie before it, so each move makes the sum of all places smaller,
 *   and compaction ends. Only a map that lies in the way of others may go further back; the caller
 *   bounds how many do.
 *
 * It moves nothing.
 */

import { mapPages } from '../../format/grain-map.ts';
import type { Extent, Space } from '../file/space.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { MapPart } from '../grains/map-parts.ts';
import type { Stratum } from '../grains/stratum.ts';
import { MarkScan } from '../marks/mark-scan.ts';
import { MapCuts } from '../moves/map-cuts.ts';

/** Maps of which at most this share has values may be cut. */
const cutFillMax = 3 / 4;
/** A cut saves at least this share of the map's pages, and this number of them. */
const cutShareMin = 1 / 4;
const cutPagesMin = 4;
/** A map gives way to this many at most: a stratum has room for some thousand. */
const cutsMax = 256;

/** A map, and the page after its last one. */
export interface Candidate {
  readonly stratum: Stratum;
  readonly map: GrainMap;
  readonly endPage: number;
}

/** Grains of a map that is to be made. */
export interface GrainRange {
  readonly firstIndex: number;
  readonly grains: number;
}

/** The file would end here if free pages were nowhere but at its end. */
export function idealEnd(space: Space): number {
  return space.endPage - space.freePages;
}

/** The durable maps that lie at least in part behind page `from`, those last in the file first. */
export function mapsBehind(atlas: Atlas, from: number): Candidate[] {
  const found: Candidate[] = [];
  for (const stratum of atlas.strata()) {
    for (const map of stratum.maps) {
      if (!map.durable) continue;
      let endPage = 0;
      for (const { page, pages } of map.extents) endPage = Math.max(endPage, page + pages);
      if (endPage > from) found.push({ stratum, map, endPage });
    }
  }
  return found.sort((one, other) => other.endPage - one.endPage);
}

/** True if the map may be cut: the newest of a stratum takes further values. */
export function mayBeCut({ stratum, map }: Candidate): boolean {
  const isNewest = map === stratum.maps.at(-1);
  return !isNewest && map.committedGrains > 0 && map.committedGrains <= map.grains * cutFillMax;
}

/**
 * The ranges without long stretches of free grains; undefined if leaving these out does not pay.
 * Throws `VARVE_CORRUPT`, `VARVE_IO`.
 */
export function cutsOf({ stratum, map }: Candidate): readonly GrainRange[] | undefined {
  const ranges: GrainRange[] = [];
  let pages = 0;
  const { grainExp } = map;
  const cuts = new MapCuts(
    { grainExp, maps: [map], mapsMax: cutsMax },
    ({ firstIndex, grains }) => {
      ranges.push({ firstIndex, grains });
      pages += mapPages(grains, grainExp);
    },
  );
  cuts.begin(map);
  for (const page of stratum.pagesOf(map)) {
    const scan = new MarkScan(page.marks, page.grains);
    while (scan.next()) cuts.add(page.firstIndex + scan.at, scan.count);
  }
  cuts.end();
  const before = mapPages(map.grains, grainExp);
  const saved = before - pages;
  return ranges.length > 0 && saved >= Math.max(cutPagesMin, before * cutShareMin)
    ? ranges
    : undefined;
}

/**
 * The map behind the longest free stretch, of those without which a later map would have room.
 * `maps`: all, as `mapsBehind` gives them.
 */
export function mapInTheWay(
  free: Iterable<Extent>,
  pagesMin: number,
  maps: readonly Candidate[],
): Candidate | undefined {
  const stretches = [...free];
  const freeAt = (page: number): number => stretches.find((one) => one.page === page)?.pages ?? 0;
  let found: { readonly candidate: Candidate; readonly pages: number } | undefined;
  for (const { page, pages } of stretches) {
    if (pages < Math.max(pagesMin, found?.pages ?? 0)) continue;
    const candidate = maps.find(({ map: { extents } }) => {
      return extents.length === 1 && extents[0]?.page === page + pages;
    });
    if (candidate === undefined) continue;
    const room = candidate.endPage - page + freeAt(candidate.endPage);
    const isLater = ({ map, endPage }: Candidate): boolean =>
      endPage > candidate.endPage && mapPages(map.grains, map.grainExp) <= room;
    if (maps.some(isLater)) found = { candidate, pages };
  }
  return found?.candidate;
}

/**
 * Takes free pages for each range: the first with room that lie before the end of the map, or with
 * 'anywhere' those that a new map would get, for which the file may grow. Undefined if there are
 * none for one of the ranges.
 */
export function placeRanges(
  space: Space,
  { map, endPage }: Candidate,
  ranges: readonly GrainRange[],
  place: 'before' | 'anywhere',
): MapPart[] | undefined {
  const parts: MapPart[] = [];
  for (const { firstIndex, grains } of ranges) {
    const pages = mapPages(grains, map.grainExp);
    const page =
      place === 'before'
        ? space.takeBelow(pages, endPage - pages)
        : space.allocateForValues(pages, false);
    if (page === undefined) {
      for (const taken of extentsOf(map, parts)) space.free(taken.page, taken.pages);
      return undefined;
    }
    parts.push({ firstIndex, grains, page });
  }
  return parts;
}

/** The places of maps that are to replace the map. */
export function extentsOf({ grainExp }: GrainMap, parts: readonly MapPart[]): Extent[] {
  return parts.map(({ page, grains }) => ({ page, pages: mapPages(grains, grainExp) }));
}
