/**
 * The Atlas knows basins and strata in memory. It finds the place of a value and chooses the place
 * of a new one.
 *
 * Invariant: grains that it returns are reserved until the caller publishes or releases them. Only
 * this process knows the structures that it adds (`durable` false) until a batch that needs them is
 * published. It writes nothing.
 */

import { VarveError } from '../../errors.ts';
import type { GrainIdParts } from '../../format/grain-id.ts';
import {
  basinsMax,
  grainExpMax,
  grainExpStep,
  grainIndexLimit,
  markArchived,
  strataMax,
} from '../../format/layout.ts';
import { grainCount, grainExpFor, grainExpSuits } from '../../format/value.ts';
import { assert, present } from '../../util/assert.ts';
import { MemoryBudget } from '../../util/memory-budget.ts';
import type { PageSource } from '../file/page-source.ts';
import type { Extent, Space } from '../file/space.ts';
import { LoadedPages } from '../marks/loaded-pages.ts';
import { BasinState } from './basin-state.ts';
import type { Doubts } from './free-grains.ts';
import type { GrainMap } from './grain-map.ts';
import { nextMapGrains, placeMap, placeMapInside } from './map-growth.ts';
import type { MapPart } from './map-parts.ts';
import { Stratum } from './stratum.ts';

/** Maximum sizes of structures; tests lower them. */
export interface AtlasLimits {
  readonly grainsPerStratum: number;
  readonly mapsPerStratum: number;
  /** Minimum size of a new map that values share. */
  readonly mapBytesMin: number;
  readonly strataPerBasin: number;
  readonly basins: number;
  /**
   * Memory of loaded mark pages, beyond those that cannot be evicted. Default: as `LoadedPages`
   * says.
   */
  readonly markBytes?: number | undefined;
}

/** 16,384 maps of up to 32 MiB: half a tebibyte in a stratum, half a mebibyte in its basin. */
export const defaultLimits: AtlasLimits = {
  grainsPerStratum: grainIndexLimit,
  mapsPerStratum: 16_384,
  mapBytesMin: 64 * 1024,
  strataPerBasin: strataMax,
  basins: basinsMax,
};

const emptyStratum = {
  values: 0,
  archivedValues: 0,
  valueBytes: 0,
  allocatedGrains: 0,
  endIndex: 0,
  maps: [],
};

/** Grains reserved for a value. */
export interface Reservation {
  readonly stratum: Stratum;
  readonly index: number;
  readonly count: number;
}

/** The place of a committed value. */
export interface FoundValue {
  readonly stratum: Stratum;
  readonly map: GrainMap;
  readonly count: number;
  readonly archived: boolean;
}

export class Atlas {
  readonly basins: BasinState[] = [];
  /**
   * Extents of maps that were dropped or replaced, and of log segments that were copied, after the
   * settled base. A replay from the base still reads them, so they are free only when both header
   * copies are past that.
   */
  readonly leaving = new Set<Extent>();
  /** Pages of `leaving`. */
  leavingPages = 0;
  /** Maps made for one value that has been freed; the next batch gives them back. */
  readonly vacated = new Map<GrainMap, Stratum>();
  /** The mark pages in memory. */
  readonly loadedPages: LoadedPages;
  readonly #source: PageSource;
  readonly #space: Space;
  readonly #limits: AtlasLimits;
  /** Strata of each grain size, oldest first. */
  readonly #byGrainExp = new Map<number, Stratum[]>();
  /** `Space.growths` when grains that were set aside were last taken back. */
  #growths = 0;
  readonly #doubt: Doubts = (offset, bytes) => this.#space.doubts(offset, bytes);

  /** `budget`: for mark pages. */
  constructor(
    source: PageSource,
    space: Space,
    limits: AtlasLimits,
    budget = new MemoryBudget(Number.POSITIVE_INFINITY),
  ) {
    this.#source = source;
    this.#space = space;
    this.#limits = limits;
    this.loadedPages = new LoadedPages(budget, limits.markBytes);
  }

  *strata(): Generator<Stratum> {
    for (const basin of this.basins) yield* basin.strata;
  }

  get mapsPerStratumMax(): number {
    return this.#limits.mapsPerStratum;
  }

  /** Mark pages with published changes that no settle has written. */
  get dirtyPages(): number {
    let pages = 0;
    for (const stratum of this.strata()) pages += stratum.pages.dirty.size;
    return pages;
  }

  /** Adds a basin that was read from the file, with its strata. */
  adopt(basin: BasinState): void {
    this.basins.push(basin);
    for (const stratum of basin.strata) this.#index(stratum);
  }

  #index(stratum: Stratum): void {
    const alike = this.#byGrainExp.get(stratum.grainExp);
    if (alike === undefined) this.#byGrainExp.set(stratum.grainExp, [stratum]);
    else alike.push(stratum);
  }

  stratum(basin: number, number: number): Stratum | undefined {
    return this.basins[basin]?.strata[number];
  }

  basinOf({ basin }: Stratum): BasinState {
    return present(this.basins[basin], 'the basin of a stratum');
  }

  /** The committed value with this id. Throws `VARVE_CORRUPT` if a map cannot be read. */
  find(id: GrainIdParts): FoundValue | undefined {
    const stratum = this.basins[id.basin]?.strata[id.stratum];
    const spot = stratum?.find(id.index);
    if (stratum === undefined || spot === undefined) return undefined;
    const count = spot.page.countAt(spot.at);
    if (count === 0) return undefined;
    const archived = spot.page.mark(spot.at) === markArchived;
    return { stratum, map: spot.map, count, archived };
  }

  /**
   * Reserves grains for a value of `length` bytes. Tries `preferred` if its grain size suits, then
   * every suiting stratum, and only then adds a map. Throws `VARVE_TOO_LARGE` if every basin is
   * full, `VARVE_CORRUPT` if a map cannot be read.
   */
  reserve(length: number, preferred: Stratum | undefined): Reservation {
    if (this.#growths !== this.#space.growths) this.#takeBackSetAside();
    if (preferred === undefined || !grainExpSuits(length, preferred.grainExp)) {
      return this.#reuse(length, this.#doubts) ?? this.#grow(length);
    }
    const count = grainCount(length, preferred.grainExp);
    let index = preferred.reserve(count, this.#doubts);
    if (index < 0) {
      const elsewhere = this.#reuse(length, this.#doubts);
      if (elsewhere !== undefined) return elsewhere;
      if (this.#doubts !== undefined) return this.#grow(length);
      index = this.#reserveIn(preferred, count);
    }
    return index < 0 ? this.#grow(length) : { stratum: preferred, index, count };
  }

  /** Tells which writes the disk may refuse; undefined if the file can grow. */
  get #doubts(): Doubts | undefined {
    return this.#space.wallPage === Number.POSITIVE_INFINITY ? undefined : this.#doubt;
  }

  /**
   * Reserves existing free grains of any suiting size, so that no stratum grows while another has
   * room.
   */
  #reuse(length: number, doubts?: Doubts): Reservation | undefined {
    let grainExp = grainExpFor(length);
    while (grainExp <= grainExpMax && grainExpSuits(length, grainExp)) {
      const count = grainCount(length, grainExp);
      for (const stratum of this.#byGrainExp.get(grainExp) ?? []) {
        const index = stratum.reserve(count, doubts);
        if (index >= 0) return { stratum, index, count };
      }
      grainExp += grainExpStep;
    }
    return undefined;
  }

  #grow(length: number): Reservation {
    if (this.#doubts !== undefined) {
      // Otherwise an unused map behind the wall would become durable with the next of its stratum.
      if (this.#space.tight) this.dropUnused();
      const inside = this.#space.tight ? this.#growInside(length) : undefined;
      if (inside !== undefined) return inside;
      // The disk may have room again: try grains that were set aside.
      this.#takeBackSetAside();
      const behind = this.#reuse(length);
      if (behind !== undefined) return behind;
    }
    const grainExp = grainExpFor(length);
    const count = grainCount(length, grainExp);
    for (const stratum of this.#byGrainExp.get(grainExp) ?? []) {
      const index = this.#reserveIn(stratum, count);
      if (index >= 0) return { stratum, index, count };
    }
    const stratum = this.#newStratum(grainExp);
    const index = this.#reserveIn(stratum, count);
    assert(index >= 0, 'a new stratum has room');
    return { stratum, index, count };
  }

  #reserveIn(stratum: Stratum, count: number): number {
    const index = stratum.reserve(count);
    if (index >= 0) return index;
    const wanted = this.#nextMapGrains(stratum, count);
    if (wanted === undefined) return -1;
    const firstIndex = stratum.endIndex;
    const place = placeMap(this.#space, stratum.grainExp, wanted, count);
    const map = stratum.addMap({ firstIndex, ...place }, false);
    const isSure = this.#space.wallPage === Number.POSITIVE_INFINITY;
    map.backMarks(isSure && map.page + map.overheadPages <= this.#space.backedPage);
    return stratum.reserve(count);
  }

  /** Grains of the stratum's next map; undefined if it can have no more. */
  #nextMapGrains(stratum: Stratum, count: number): number | undefined {
    const room = this.#limits.grainsPerStratum - stratum.endIndex;
    if (room < count || stratum.maps.length >= this.#limits.mapsPerStratum) return undefined;
    const { grainExp, totalGrains } = stratum;
    const bytesMin = this.#limits.mapBytesMin;
    return Math.min(nextMapGrains({ grainExp, totalGrains, count, bytesMin }), room);
  }

  // ── a full disk ──

  /**
   * Reserves in a new map that needs no growth of the file; undefined if there is no place for one.
   */
  #growInside(length: number): Reservation | undefined {
    const grainExp = grainExpFor(length);
    const count = grainCount(length, grainExp);
    const alike = this.#byGrainExp.get(grainExp) ?? [];
    const roomy = alike.find((one) => this.#nextMapGrains(one, count) !== undefined);
    const bytesMin = this.#limits.mapBytesMin;
    const wanted =
      roomy === undefined
        ? nextMapGrains({ grainExp, totalGrains: 0, count, bytesMin })
        : (this.#nextMapGrains(roomy, count) as number);
    if (roomy === undefined) this.#basinForStratum();
    const place = placeMapInside(this.#space, grainExp, wanted, count);
    if (place === undefined) return undefined;
    const stratum = roomy ?? this.#newStratum(grainExp);
    const map = stratum.addMap({ firstIndex: stratum.endIndex, ...place }, false);
    map.backMarks(false);
    const index = stratum.reserve(count, this.#doubts);
    return index < 0 ? undefined : { stratum, index, count };
  }

  /** All empty durable maps, even if no free grains stay without them. */
  emptyMaps(): { readonly stratum: Stratum; readonly map: GrainMap }[] {
    const empty = [...this.vacated].map(([map, stratum]) => ({ stratum, map }));
    for (const stratum of this.strata()) {
      for (const map of stratum.maps) {
        const isEmpty = map.takenGrains === 0 && map.durable && !map.vacated;
        if (isEmpty) empty.push({ stratum, map });
      }
    }
    return empty;
  }

  /** Frees the pages of empty maps that are not durable. */
  dropUnused(): void {
    for (const stratum of this.strata()) {
      const unused = stratum.maps.filter(
        (map) => map.takenGrains === 0 && !map.durable && !map.beingAdded,
      );
      for (const map of unused) {
        stratum.dropMap(map.firstIndex);
        for (const { page, pages } of map.extents) this.#space.free(page, pages);
      }
    }
  }

  #takeBackSetAside(): void {
    this.#growths = this.#space.growths;
    for (const stratum of this.strata()) stratum.takeBackSetAside();
  }

  /** The number of the basin for the next stratum. Throws `VARVE_TOO_LARGE`. */
  #basinForStratum(): number {
    let basin = this.basins.length - 1;
    const full = (this.basins[basin]?.strata.length ?? 0) >= this.#limits.strataPerBasin;
    if (basin < 0 || full) basin += 1;
    if (basin >= this.#limits.basins) {
      throw new VarveError('VARVE_TOO_LARGE', `the store is full: it has ${basin} basins`);
    }
    return basin;
  }

  #newStratum(grainExp: number): Stratum {
    const basin = this.#basinForStratum();
    if (basin === this.basins.length) this.addBasin(false);
    return this.addStratum(basin, grainExp, false);
  }

  addBasin(durable: boolean): void {
    this.basins.push(new BasinState([], { durable, dirty: durable }));
  }

  addStratum(basin: number, grainExp: number, durable: boolean): Stratum {
    const home = this.basins[basin];
    assert(home !== undefined, 'a stratum is added to a basin that is there');
    const place = { basin, number: home.strata.length, durable };
    const entry = { ...emptyStratum, grainExp };
    const stratum = new Stratum(place, entry, this.#source, this.loadedPages);
    home.strata.push(stratum);
    this.#index(stratum);
    return stratum;
  }

  /** Removes an empty map. Its extents wait in `leaving`. */
  dropMap(stratum: Stratum, firstIndex: number): void {
    const map = stratum.dropMap(firstIndex);
    if (map === undefined) return;
    this.vacated.delete(map);
    this.leave(map.extents);
  }

  /**
   * As `MapReplacements.replace`. The old extents wait in `leaving`. If the same batch has freed
   * the only value of the map, it is not dropped later: a part has its first grain, and takes
   * values.
   */
  replaceMap(stratum: Stratum, map: GrainMap, parts: readonly MapPart[]): void {
    this.vacated.delete(map);
    stratum.moves.replace(map, parts);
    this.leave(map.extents);
  }

  /** These extents are free when both header copies are past the present batch. */
  leave(extents: readonly Extent[]): void {
    for (const extent of extents) {
      this.leaving.add(extent);
      this.leavingPages += extent.pages;
    }
  }

  /** Removes extents from `leaving`: a settle that began after the drops is done. */
  left(places: readonly Extent[]): void {
    for (const place of places) {
      const wasLeaving = this.leaving.delete(place);
      assert(wasLeaving, 'the place of a dropped map is freed once');
      this.leavingPages -= place.pages;
    }
  }

  /** Bytes in the free grains of all maps. */
  freeGrainBytes(): number {
    let bytes = 0;
    for (const stratum of this.strata()) {
      bytes += (stratum.totalGrains - stratum.allocatedGrains) * stratum.grainBytes;
    }
    return bytes;
  }
}
