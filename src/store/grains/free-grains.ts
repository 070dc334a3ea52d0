/**
 * The free grains of a stratum: gives out runs of them and takes them back.
 *
 * Invariant: a grain is given out once until it is released; maps that no value has been looked for
 * in are opened only when the opened ones have no run. Grains that lie where the disk may refuse
 * writes are set aside. It knows nothing of values and their marks.
 */

import { isVarveError } from '../../errors.ts';
import type { FilePart } from '../file/file-parts.ts';
import { GrainAllocator, longestRoomyRun } from './grain-allocator.ts';
import type { GrainMap } from './grain-map.ts';
import type { MarkPage } from './mark-page.ts';
import { SetAside } from './set-aside.ts';
import { UnopenedMaps } from './unopened-maps.ts';

/** What it is told by its stratum. */
export interface GrainHome {
  readonly grainBytes: number;
  readonly totalGrains: number;
  readonly maps: readonly GrainMap[];
  mapOf(index: number): GrainMap;
  partsOf(index: number, bytes: number): FilePart[];
}

/** How the stratum reads its maps. */
export interface MapOpener {
  open(map: GrainMap): void;
  load(page: MarkPage): void;
}

/** Whether the disk may refuse a write of these bytes of the file. */
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

  /** Grains that are not taken, those set aside among them. */
  get count(): number {
    return this.#home.totalGrains - this.#taken;
  }

  /** Takes in maps that have yet to be opened. */
  addUnopened(maps: readonly GrainMap[]): void {
    this.#unopened.add(maps);
  }

  /** Takes in a page whose longest free run has at most `hint` grains. */
  add(page: MarkPage, hint: number): void {
    this.#allocator.add(page, hint);
  }

  /**
   * Index of `count` free grains in a row, reserved; -1 where the maps have none but those that the
   * disk may refuse.
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

  /** Reserves `count` grains at `at` of a page; false where one of them is taken. */
  reserveAt(page: MarkPage, at: number, count: number): boolean {
    if (page.listed < 0 || !this.#allocator.reserveAt(page, at, count)) return false;
    this.#take(page.firstIndex + at, count);
    return true;
  }

  #take(index: number, count: number): void {
    this.countTaken(this.#home.mapOf(index), count);
  }

  /** So many grains of the map more are taken, or fewer. */
  countTaken(map: GrainMap, count: number): void {
    map.takenGrains += count;
    this.#taken += count;
  }

  /** Gives a reservation back. */
  release(index: number, count: number): void {
    this.countTaken(this.#giveBack(index, count), -count);
  }

  /** Grains set aside can be given out again. */
  takeBackSetAside(): void {
    for (const [index, count] of this.setAside.takeAll()) this.#giveBack(index, count);
  }

  #giveBack(index: number, count: number): GrainMap {
    const map = this.#home.mapOf(index);
    const page = map.pageOf(index);
    this.#allocator.release(page, index - page.firstIndex, count);
    return map;
  }

  // ── replay: as above, and counted by `countTaken` where the basin has not counted it ──

  replayReserve(page: MarkPage, at: number, count: number): boolean {
    return this.#allocator.reserveAt(page, at, count);
  }

  replayRelease(page: MarkPage, at: number, count: number): void {
    this.#allocator.release(page, at, count);
  }

  // ── maps that are given back ──

  /** Nothing is reserved in a map that is damaged; reading what is in it says so. */
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
   * From now on nothing is reserved in a map that holds nothing; false where something has been
   * reserved in it, where it is damaged, or retired as it is. Throws `VARVE_IO`.
   */
  retire(map: GrainMap): boolean {
    if (map.takenGrains > 0) return false;
    if (this.#unopened.isSkipped(map) || !this.#openOrSkip(map)) return false;
    if (map.pages.some(({ listed }) => listed < 0)) return false;
    for (const page of map.pages) this.#allocator.remove(page);
    return true;
  }

  /** A retired map is in use again, unless it is to be given back whatever happens. */
  restore(map: GrainMap): void {
    if (map.vacated) return;
    for (const page of map.pages) this.#allocator.add(page, page.grains);
  }

  /** The map is taken out: nothing of it is given out or back any more. */
  drop(map: GrainMap): void {
    this.setAside.forget(map.firstIndex, map.grains);
    for (const page of map.opened ? map.pages : []) {
      if (page.listed >= 0) this.#allocator.remove(page);
    }
  }
}
