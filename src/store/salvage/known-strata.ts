/**
 * Which grain maps there were at the end, as far as basins, mark pages, heads and the log say.
 *
 * Invariants:
 * - A map is known by its first index, its length and its place: each move makes another one. One
 *   is alive if the newest that is known of it says so. Of two that overlap, in the file or in
 *   their stratum, only the one that was seen later can be alive.
 * - It takes facts in any order of their stamps, but records of the log in the order of their
 *   batches. It reads nothing.
 */

import type { Basin } from '../../format/basin.ts';
import {
  hasHead,
  type MapExtent,
  type MapPlacement,
  mapExtents,
  placementIsSound,
} from '../../format/grain-map.ts';
import {
  grainExpMax,
  grainExpMin,
  grainIndexLimit,
  grainsPerMarkPage,
  markPagesMax,
} from '../../format/layout.ts';
import type { LogOperation } from '../../format/log-record.ts';
import { GrainMap, newMapEntry } from '../grains/grain-map.ts';
import type { FoundMap } from './found-structures.ts';
import { TakenRanges } from './taken-ranges.ts';

/** A basin document. */
export interface DatedBasin {
  readonly basin: Basin;
  /** It holds every batch up to this one. */
  readonly stamp: number;
  /** The header leads to it. */
  readonly isNamed: boolean;
}

/** One map at one place, and what is known of it. */
export interface MapLife extends MapPlacement {
  readonly firstIndex: number;
  /** Only a basin and the record that adds the map name them. */
  further: readonly MapExtent[];
  /** The newest batch as of which it is known to be there. */
  lastSeen: number;
  /** The batch of the newest record that took it out of its stratum; -1 without one. */
  goneAt: number;
  /** The batch that put it here, if a record says so. */
  since: number | undefined;
  /** That record has replaced another map by it. */
  isPart: boolean;
  /** The newest basin that lists it, and the generation that this names. */
  entered: (DatedBasin & { readonly generation: number }) | undefined;
  found: FoundMap | undefined;
}

export interface KnownMap {
  readonly map: GrainMap;
  readonly life: MapLife;
}

export class KnownStratum {
  readonly basin: number;
  readonly number: number;
  grainExp: number | undefined;
  /** Index after the last grain of any map that is known of. */
  endIndex = 0;
  readonly #lives = new Map<number, MapLife[]>();
  /** The maps that are alive, by first index. */
  maps: readonly KnownMap[] = [];

  constructor(basin: number, number: number) {
    this.basin = basin;
    this.number = number;
  }

  /** The map's life; a new one has been seen at `batch`. */
  seen(firstIndex: number, placement: MapPlacement, batch: number): MapLife {
    const { grains, page, further } = placement;
    const lives = this.#lives.get(firstIndex) ?? [];
    this.#lives.set(firstIndex, lives);
    let life = lives.find((one) => one.grains === grains && one.page === page);
    if (life === undefined) {
      const unknown = { since: undefined, isPart: false, entered: undefined, found: undefined };
      life = { firstIndex, grains, page, further, lastSeen: batch, goneAt: -1, ...unknown };
      lives.push(life);
    }
    if (further.length > 0) life.further = further;
    life.lastSeen = Math.max(life.lastSeen, batch);
    this.endIndex = Math.max(this.endIndex, firstIndex + grains);
    return life;
  }

  /** A record took the map out of the stratum. */
  gone(firstIndex: number, batch: number): void {
    for (const life of this.#lives.get(firstIndex) ?? []) {
      life.goneAt = Math.max(life.goneAt, batch);
    }
  }

  /** Every map that ever was, by first index. */
  get lives(): MapLife[] {
    return [...this.#lives.values()].flat().sort((one, other) => one.firstIndex - other.firstIndex);
  }
}

export class KnownStrata {
  readonly #strata = new Map<number, KnownStratum>();
  /** The newest document of each basin. */
  readonly #basins = new Map<number, DatedBasin>();

  /** Basins that are known of, counted up to the last. */
  basinCount = 0;

  stratum(basin: number, number: number): KnownStratum {
    const key = basin * 256 + number;
    let stratum = this.#strata.get(key);
    if (stratum === undefined) {
      stratum = new KnownStratum(basin, number);
      this.#strata.set(key, stratum);
      this.basinCount = Math.max(this.basinCount, basin + 1);
    }
    return stratum;
  }

  find(basin: number, number: number): KnownStratum | undefined {
    return this.#strata.get(basin * 256 + number);
  }

  /** The strata that are known of, in order. */
  get all(): KnownStratum[] {
    return [...this.#strata.entries()].sort(([one], [other]) => one - other).map(([, it]) => it);
  }

  addFound(found: FoundMap): void {
    const { basin, stratum: number, firstIndex, grains, grainExp } = found.owner;
    const stratum = this.stratum(basin, number);
    stratum.grainExp ??= grainExp;
    let stamp = found.head?.stamp ?? 0;
    for (const marks of found.marks) stamp = Math.max(stamp, marks?.stamp ?? 0);
    const placement = { grains, page: found.page, further: [] };
    stratum.seen(firstIndex, placement, stamp).found = found;
  }

  /** Requires: the documents of a basin come in the order of their stamps. */
  addBasin(number: number, dated: DatedBasin): void {
    this.#basins.set(number, dated);
    for (const [at, entry] of dated.basin.strata.entries()) {
      const stratum = this.stratum(number, at);
      stratum.grainExp = entry.grainExp;
      stratum.endIndex = Math.max(stratum.endIndex, entry.endIndex);
      for (const map of entry.maps) {
        const life = stratum.seen(map.firstIndex, map, dated.stamp);
        life.entered = { ...dated, generation: map.generation };
      }
    }
    this.basinCount = Math.max(this.basinCount, number + 1);
  }

  /** Takes in what a record says about structures. Requires: in the order of the batches. */
  addOperation(one: LogOperation, batch: number): void {
    switch (one.operation) {
      case 'add-basin':
        this.basinCount = Math.max(this.basinCount, one.basin + 1);
        return;
      case 'add-stratum':
        this.stratum(one.basin, one.stratum).grainExp = one.grainExp;
        return;
      case 'add-map': {
        const life = this.stratum(one.basin, one.stratum).seen(one.firstIndex, one, batch);
        life.since = batch;
        return;
      }
      case 'drop-map':
        this.stratum(one.basin, one.stratum).gone(one.firstIndex, batch);
        return;
      case 'replace-map': {
        const stratum = this.stratum(one.basin, one.stratum);
        stratum.gone(one.firstIndex, batch - 0.5);
        for (const { firstIndex, grains, page } of one.parts) {
          const life = stratum.seen(firstIndex, { grains, page, further: [] }, batch);
          life.since = batch;
          life.isPart = true;
        }
        return;
      }
      default:
    }
  }

  /** Decides which maps are alive. Requires: all facts have been added. */
  resolve(): void {
    const alive: { readonly stratum: KnownStratum; readonly known: KnownMap }[] = [];
    for (const stratum of this.#strata.values()) {
      const { grainExp } = stratum;
      stratum.maps = [];
      if (grainExp === undefined || grainExp < grainExpMin || grainExp > grainExpMax) continue;
      const newest = this.#basins.get(stratum.basin);
      for (const life of stratum.lives) {
        if (life.goneAt >= life.lastSeen || !isPossible(life, grainExp)) continue;
        const isUnentered = life.entered?.basin !== newest?.basin;
        if (newest !== undefined && isUnentered && life.lastSeen <= newest.stamp) continue;
        const map = new GrainMap(newMapEntry(life.firstIndex, life), grainExp, true);
        alive.push({ stratum, known: { map, life } });
      }
    }
    alive.sort((one, other) => other.known.life.lastSeen - one.known.life.lastSeen);
    const pages = new TakenRanges();
    const indexes = new Map<KnownStratum, TakenRanges>();
    const kept = new Map<KnownStratum, KnownMap[]>();
    for (const { stratum, known } of alive) {
      const { map } = known;
      const ofStratum = indexes.get(stratum) ?? new TakenRanges();
      indexes.set(stratum, ofStratum);
      const extents = map.extents.map(({ page, pages: count }) => [page, page + count] as const);
      if (ofStratum.overlaps(map.firstIndex, map.firstIndex + map.grains)) continue;
      if (extents.some(([from, to]) => pages.overlaps(from, to))) continue;
      ofStratum.add(map.firstIndex, map.firstIndex + map.grains);
      for (const [from, to] of extents) pages.add(from, to);
      const maps = kept.get(stratum);
      if (maps === undefined) kept.set(stratum, [known]);
      else maps.push(known);
    }
    for (const [stratum, maps] of kept) {
      stratum.maps = maps.sort((one, other) => one.map.firstIndex - other.map.firstIndex);
    }
  }
}

function isPossible(life: MapLife, grainExp: number): boolean {
  const { firstIndex, grains } = life;
  if (grains < 1 || grains > markPagesMax * grainsPerMarkPage) return false;
  if (firstIndex + grains > grainIndexLimit || !placementIsSound(life, grainExp)) return false;
  return mapExtents(life, grainExp).every(({ page }) => page > 0);
}

/**
 * The generation that a mark page of the map has at least, by the structures that name it;
 * undefined if none is left.
 */
export function namedGeneration({ entered, found, grains }: MapLife, ordinal: number) {
  if (entered?.generation === 0) return 0;
  if (!hasHead(grains)) return entered?.generation;
  return found?.named?.[ordinal];
}

/** True if a newer head is named than any that was found. */
export function lacksHead({ entered, found, grains }: MapLife): boolean {
  if (!hasHead(grains) || entered === undefined) return false;
  return (found?.head?.generation ?? 0) < entered.generation;
}
