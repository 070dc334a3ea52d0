/**
 * The free grains of a stratum: reserves and releases runs of them.
 *
 * Invariants:
 * - A reserved grain is not reserved again before its release.
 * - Maps are opened to look for a run only if no opened map has one.
 * - Grains are set aside if the disk may refuse writes there.
 *
 * It knows nothing of values and their marks.
 */

import { isVarveError } from '../../errors.ts';
import { assert } from '../../util/assert.ts';
import type { FilePart } from '../file/file-parts.ts';
import type { MarkChange, MarkPage } from '../marks/mark-page.ts';
import { GrainAllocator, longestRoomyRun } from './grain-allocator.ts';
import type { GrainMap } from './grain-map.ts';
import { SetAside } from './set-aside.ts';

/** The parts of the stratum that it needs. */
export interface GrainHome {
  readonly grainBytes: number;
  readonly totalGrains: number;
  readonly maps: readonly GrainMap[];
  mapOf(index: number): GrainMap;
  partsOf(index: number, bytes: number): FilePart[];
}

/** Reads maps and their pages. */
export interface MapOpener {
  open(map: GrainMap): void;
  load(page: MarkPage): void;
}

/** True if the disk may refuse a write of these bytes of the file. */
export type Doubts = (offset: number, bytes: number) => boolean;

export class FreeGrains {
  readonly setAside = new SetAside();
  readonly #home: GrainHome;
  readonly #opener: MapOpener;
  readonly #allocator: GrainAllocator;
  readonly #unopened = new UnopenedMaps();
  /** Grains reserved or committed. */
  #taken: number;

  constructor(home: GrainHome, opener: MapOpener, taken: number) {
    this.#home = home;
    this.#opener = opener;
    this.#allocator = new GrainAllocator((page) => opener.load(page));
    this.#taken = taken;
  }

  /** Grains that are not taken, including those set aside. */
  get count(): number {
    return this.#home.totalGrains - this.#taken;
  }

  /** Adds maps that are not opened yet. */
  addUnopened(maps: readonly GrainMap[]): void {
    this.#unopened.add(maps);
  }

  /** Adds a page whose longest free run has at most `hint` grains. */
  add(page: MarkPage, hint: number): void {
    this.#allocator.add(page, hint);
  }

  /** True if values are being taken from a free run of the page: it must stay loaded. */
  isTakingFrom(page: MarkPage): boolean {
    return this.#allocator.isCurrent(page);
  }

  /** The page was evicted. */
  unload(page: MarkPage): void {
    this.#allocator.unload(page);
  }

  /**
   * Reserves `count` free grains in a row and returns the first index. Returns -1 if no map has
   * them, except where the disk may refuse writes.
   */
  reserve(count: number, doubts: Doubts | undefined): number {
    const { totalGrains, grainBytes, maps } = this.#home;
    const roomyMax = longestRoomyRun(count * grainBytes, 1 - this.#taken / totalGrains);
    for (;;) {
      const index = this.#allocator.reserve(count, roomyMax);
      if (index >= 0) {
        if (doubts !== undefined && this.#isDoubted(index, count, doubts)) {
          this.setAside.add(index, count + this.#allocator.reserveRest());
          continue;
        }
        this.#take(index, count);
        return index;
      }
      const unopened = this.#unopened.choose(maps, count);
      if (unopened === undefined) return -1;
      this.#openOrSkip(unopened);
    }
  }

  #isDoubted(index: number, count: number, doubts: Doubts): boolean {
    const parts = this.#home.partsOf(index, count * this.#home.grainBytes);
    return parts.some(({ offset, bytes }) => doubts(offset, bytes));
  }

  /** Reserves `count` grains at `at` of a page; false if one of them is taken. */
  reserveAt(page: MarkPage, at: number, count: number): boolean {
    if (page.listed < 0 || !this.#allocator.reserveAt(page, at, count)) return false;
    this.#take(page.firstIndex + at, count);
    return true;
  }

  #take(index: number, count: number): void {
    this.countTaken(this.#home.mapOf(index), count);
  }

  /** Counts `count` more taken grains of the map; a negative number for fewer. */
  countTaken(map: GrainMap, count: number): void {
    map.countTaken(count);
    this.#taken += count;
  }

  /** Releases a reservation. */
  release(index: number, count: number): void {
    const map = this.#giveBack(index, count);
    this.countTaken(map, -count);
    assert(map.takenGrains >= map.committedGrains, 'committed grains are not released');
  }

  /** Makes grains that were set aside free again. */
  takeBackSetAside(): void {
    for (const [index, count] of this.setAside.takeAll()) this.#giveBack(index, count);
  }

  #giveBack(index: number, count: number): GrainMap {
    const map = this.#home.mapOf(index);
    const page = map.pageOf(index);
    this.#allocator.release(page, index - page.firstIndex, count);
    return map;
  }

  /**
   * The marks of a run have been replayed. `countTaken` counts its grains if the basin has not
   * counted them.
   */
  replayed(change: MarkChange, page: MarkPage, at: number, count: number): void {
    if (change === 'free') this.#allocator.release(page, at, count);
    if (change !== 'allocate') return;
    const wasFree = this.#allocator.reserveAt(page, at, count);
    assert(wasFree, 'no grains are reserved before the end of a replay');
  }

  // ── maps that are copied to another place ──

  /**
   * Stops reservations in a map. Returns false if some of its grains are reserved, or if nothing
   * can be reserved in it: it is damaged, or is given back. Throws `VARVE_IO`.
   */
  keepStill(map: GrainMap): boolean {
    return map.takenGrains === map.committedGrains && this.close(map);
  }

  /**
   * Stops reservations in a map. Returns false if nothing can be reserved in it: it is damaged, or
   * is given back. Throws `VARVE_IO`.
   */
  close(map: GrainMap): boolean {
    if (map.isClosed) return true;
    if (this.#unopened.isSkipped(map) || !this.#openOrSkip(map)) return false;
    if (map.pages.some(({ listed }) => listed < 0)) return false;
    // What is set aside in it is not where the disk refuses writes any more.
    this.takeBackSetAside();
    for (const page of map.pages) this.#allocator.remove(page);
    return true;
  }

  /** Allows reservations in the map again, unless it is closed. */
  letGo(map: GrainMap): void {
    if (map.isClosed) return;
    for (const page of map.pages) this.#allocator.add(page, page.grains);
  }

  // ── maps that are given back ──

  /**
   * Opens a map. A damaged map is skipped: nothing is reserved in it, and reading its values
   * reports the damage.
   */
  #openOrSkip(map: GrainMap): boolean {
    try {
      this.#opener.open(map);
      return true;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      this.#unopened.skip(map);
      return false;
    }
  }

  /**
   * Stops reservations in an empty map. Returns false if grains of it are taken, or if it is
   * damaged or retired already. Throws `VARVE_IO`.
   */
  retire(map: GrainMap): boolean {
    if (map.takenGrains > 0) return false;
    if (map.isClosed) return !map.isStill;
    if (this.#unopened.isSkipped(map) || !this.#openOrSkip(map)) return false;
    if (map.pages.some(({ listed }) => listed < 0)) return false;
    for (const page of map.pages) this.#allocator.remove(page);
    return true;
  }

  /**
   * Allows reservations in a retired map again, unless it was made for one value: that one is given
   * back.
   */
  restore(map: GrainMap): void {
    if (map.vacated || map.isClosed) return;
    for (const page of map.pages) this.#allocator.add(page, page.grains);
  }

  /** The map is removed: none of its grains is reserved or released any more. */
  drop(map: GrainMap): void {
    this.setAside.forget(map.firstIndex, map.grains);
    for (const page of map.opened ? map.pages : []) {
      if (page.listed >= 0) this.#allocator.remove(page);
    }
  }
}

/**
 * Chooses the map to open next: one whose entry in the basin allows a free run that is long enough.
 * A failed search is O(1) when repeated.
 */
class UnopenedMaps {
  /** The longest free run that an unopened map may have. */
  #longest = 0;
  /** Damaged maps. */
  readonly #skipped = new Set<GrainMap>();

  add(maps: readonly GrainMap[]): void {
    for (const { longestFree } of maps) this.#longest = Math.max(this.#longest, longestFree);
  }

  /** Never chooses the map again. */
  skip(map: GrainMap): void {
    this.#skipped.add(map);
  }

  isSkipped(map: GrainMap): boolean {
    return this.#skipped.has(map);
  }

  /** An unopened map that may have `count` free grains in a row. */
  choose(maps: readonly GrainMap[], count: number): GrainMap | undefined {
    if (count > this.#longest) return undefined;
    const unopened = maps.filter((map) => !map.opened && !this.#skipped.has(map));
    const chosen = unopened.find((map) => map.longestFree >= count);
    this.#longest = 0;
    // Includes the chosen map: if it cannot be read now, it is chosen again.
    this.add(unopened);
    return chosen;
  }
}
