/**
 * The Atlas: what is known in memory of basins and strata. It finds where a grain is and says
 * where a new value goes.
 *
 * Invariant: what it has given out is reserved until the caller publishes or releases it.
 * Structures that it adds (basin, stratum, map) stay known to this process only (`durable` false)
 * until a batch that relies on them is published. It writes nothing.
 */

import { VarveError } from '../../errors.ts';
import { type DocumentName, noDocument } from '../../format/document.ts';
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
import { assert } from '../../util/assert.ts';
import type { PageSource } from '../file/page-source.ts';
import type { Extent, Space } from '../file/space.ts';
import type { Doubts } from './free-grains.ts';
import type { GrainMap } from './grain-map.ts';
import { nextMapGrains, placeMap, placeMapInside } from './map-growth.ts';
import { Stratum } from './stratum.ts';

/** How large structures may get; tests change them to reach the next one quickly. */
export interface AtlasLimits {
  readonly grainsPerStratum: number;
  readonly mapsPerStratum: number;
  /** A new map that values share has at least so many bytes. */
  readonly mapBytesLeast: number;
  readonly strataPerBasin: number;
  readonly basins: number;
}

/** 16,384 maps of up to 32 MiB are half a tebibyte to a stratum and half a mebibyte of basin. */
export const defaultLimits: AtlasLimits = {
  grainsPerStratum: grainIndexLimit,
  mapsPerStratum: 16_384,
  mapBytesLeast: 64 * 1024,
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

/** One basin in memory. */
export interface BasinState {
  /** The document as last written; generation 0 before the first settle of it. */
  name: DocumentName;
  durable: boolean;
  /** Published changes that no settle has written. */
  dirty: boolean;
  /** The document, as named, holds the batches up to this one. */
  stamp: number;
  readonly strata: Stratum[];
}

/** Grains reserved for a value. */
export interface Reservation {
  readonly stratum: Stratum;
  readonly index: number;
  readonly count: number;
}

/** A committed value, found. */
export interface FoundValue {
  readonly stratum: Stratum;
  readonly map: GrainMap;
  readonly count: number;
  readonly archived: boolean;
}

export class Atlas {
  readonly basins: BasinState[] = [];
  /**
   * Places of maps that were dropped after the settled base. Replay from there would still read
   * them, so they are free only when both header copies are past the drop.
   */
  readonly leaving = new Set<Extent>();
  /** Pages of `leaving`. */
  leavingPages = 0;
  /** Maps that one value had to itself and left, to be given back by the next batch. */
  readonly vacated = new Map<GrainMap, Stratum>();
  readonly #source: PageSource;
  readonly #space: Space;
  readonly #limits: AtlasLimits;
  /** Strata of each grain size, oldest first. */
  readonly #byGrainExp = new Map<number, Stratum[]>();
  /** `Space.growths` when grains were set aside last. */
  #growths = 0;
  readonly #doubt: Doubts = (offset, bytes) => this.#space.doubts(offset, bytes);

  constructor(source: PageSource, space: Space, limits: AtlasLimits) {
    this.#source = source;
    this.#space = space;
    this.#limits = limits;
  }

  *strata(): Generator<Stratum> {
    for (const basin of this.basins) yield* basin.strata;
  }

  /** Mark pages with published changes that no settle has written. */
  get dirtyPages(): number {
    let pages = 0;
    for (const { dirtyCount } of this.strata()) pages += dirtyCount;
    return pages;
  }

  /** Takes in a basin as read from the file, its strata with it. */
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

  /** The committed value with this id. Throws `VARVE_CORRUPT` where a map cannot be read. */
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
   * Reserves grains for a value of `length` bytes: in `preferred` where its grains suit, else in
   * any stratum whose grains do, and only where none of them has a run left in a new map. Throws
   * `VARVE_TOO_LARGE` where every basin is full, `VARVE_CORRUPT` where a map cannot be read.
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

  /** Which writes are not to be tried while there is room elsewhere; undefined where none. */
  get #doubts(): Doubts | undefined {
    return this.#space.wallPage === Number.POSITIVE_INFINITY ? undefined : this.#doubt;
  }

  /** Free grains of any size that suits, so that no stratum grows while another has room. */
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
      // A map behind the wall that nobody uses would be made durable with the next of its stratum.
      if (this.#space.tight) this.dropUnused();
      const inside = this.#space.tight ? this.#growInside(length) : undefined;
      if (inside !== undefined) return inside;
      // An attempt: the disk may have room again.
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
    map.marksBacked = isSure && map.page + map.overheadPages <= this.#space.backedPage;
    return stratum.reserve(count);
  }

  /** How large the stratum's next map is to be; undefined where it can have none. */
  #nextMapGrains(stratum: Stratum, count: number): number | undefined {
    const room = this.#limits.grainsPerStratum - stratum.endIndex;
    if (room < count || stratum.maps.length >= this.#limits.mapsPerStratum) return undefined;
    const { grainExp, totalGrains } = stratum;
    const bytesLeast = this.#limits.mapBytesLeast;
    return Math.min(nextMapGrains({ grainExp, totalGrains, count, bytesLeast }), room);
  }

  // ── a full disk ──

  /** A new map in what the file has; undefined where there is no place for one. */
  #growInside(length: number): Reservation | undefined {
    const grainExp = grainExpFor(length);
    const count = grainCount(length, grainExp);
    const alike = this.#byGrainExp.get(grainExp) ?? [];
    const roomy = alike.find((one) => this.#nextMapGrains(one, count) !== undefined);
    const bytesLeast = this.#limits.mapBytesLeast;
    const wanted =
      roomy === undefined
        ? nextMapGrains({ grainExp, totalGrains: 0, count, bytesLeast })
        : (this.#nextMapGrains(roomy, count) as number);
    if (roomy === undefined) this.#basinForStratum();
    const place = placeMapInside(this.#space, grainExp, wanted, count);
    if (place === undefined) return undefined;
    const stratum = roomy ?? this.#newStratum(grainExp);
    const map = stratum.addMap({ firstIndex: stratum.endIndex, ...place }, false);
    map.marksBacked = false;
    const index = stratum.reserve(count, this.#doubts);
    return index < 0 ? undefined : { stratum, index, count };
  }

  /** Maps that hold nothing, though nothing may stay free without them. */
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

  /** Gives back the places of maps that only this process knows and that hold nothing. */
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

  /** The basin that the next stratum goes to. Throws `VARVE_TOO_LARGE`. */
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
    this.basins.push({ name: noDocument, durable, dirty: durable, stamp: 0, strata: [] });
  }

  addStratum(basin: number, grainExp: number, durable: boolean): Stratum {
    const home = this.basins[basin];
    assert(home !== undefined, 'a stratum is added to a basin that is there');
    const place = { basin, number: home.strata.length, durable };
    const entry = { ...emptyStratum, grainExp };
    const stratum = new Stratum(place, entry, this.#source);
    home.strata.push(stratum);
    this.#index(stratum);
    return stratum;
  }

  /** Takes out a map that holds nothing. */
  dropMap(stratum: Stratum, firstIndex: number): void {
    const map = stratum.dropMap(firstIndex);
    if (map === undefined) return;
    this.vacated.delete(map);
    for (const extent of map.extents) {
      this.leaving.add(extent);
      this.leavingPages += extent.pages;
    }
  }

  /** The places are free: a settle that began after the drops is done. */
  left(places: readonly Extent[]): void {
    for (const place of places) {
      this.leaving.delete(place);
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
