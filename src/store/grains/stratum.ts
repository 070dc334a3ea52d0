/**
 * One stratum in memory: its grain maps, their marks and its counters.
 *
 * Invariants:
 * - The counters count published batches only.
 * - A grain goes free -> reserved (push) -> committed (publish) -> archived -> free. A reservation
 *   that is not committed becomes free again.
 * - Only published batches and replay change marks: `publish`, `replay`.
 */

import { corrupt, isVarveError } from '../../errors.ts';
import type { StratumEntry } from '../../format/basin.ts';
import type { MapPlacement } from '../../format/grain-map.ts';
import { markArchived } from '../../format/layout.ts';
import type { GrainRun } from '../../format/log-record.ts';
import { assert, checks } from '../../util/assert.ts';
import { MemoryBudget } from '../../util/memory-budget.ts';
import type { FilePart } from '../file/file-parts.ts';
import type { PageSource } from '../file/page-source.ts';
import { LoadedPages } from '../marks/loaded-pages.ts';
import type { MarkChange, MarkPage } from '../marks/mark-page.ts';
import { type Doubts, FreeGrains } from './free-grains.ts';
import { GrainMap, newMapEntry } from './grain-map.ts';
import { MapList } from './map-list.ts';
import { MapReplacements } from './map-replacements.ts';
import { Recount } from './recount.ts';
import type { SetAside } from './set-aside.ts';
import { StratumPages } from './stratum-pages.ts';

/** The place of a grain: its page is loaded, and `at` is counted from the page's first grain. */
export interface GrainSpot {
  readonly map: GrainMap;
  readonly page: MarkPage;
  readonly at: number;
}

/** The batch that is replayed; `counted`: the basin's counters do not hold it yet. */
export interface ReplayOf {
  readonly batch: number;
  readonly counted: boolean;
}

/** A mark page that a settle must write. */
export interface DirtyPage {
  readonly stratum: Stratum;
  readonly map: GrainMap;
  readonly page: MarkPage;
}

export class Stratum {
  readonly basin: number;
  readonly number: number;
  readonly grainExp: number;
  /** A durable record or basin names it. */
  durable: boolean;
  /** Committed values, archived ones included; how many are archived; the bytes of all. */
  values: number;
  archivedValues: number;
  valueBytes: number;
  allocatedGrains: number;
  /** Indexes of values that open or committing sessions archive. Their marks stay loaded. */
  readonly #claims = new Set<number>();
  /** Its mark pages, loaded and not. */
  readonly pages: StratumPages;
  /** Maps that others replace, and those that get no new values. */
  readonly moves: MapReplacements;
  readonly #freeGrains: FreeGrains;
  readonly #maps: MapList;
  /** Maps that a record still to be replayed drops. Their pages may have other content by now. */
  readonly #doomed = new Set<GrainMap>();
  readonly #recount: Recount | undefined;

  constructor(
    place: { basin: number; number: number; durable: boolean },
    entry: StratumEntry,
    source: PageSource,
    loaded = new LoadedPages(new MemoryBudget(Number.POSITIVE_INFINITY)),
  ) {
    this.basin = place.basin;
    this.number = place.number;
    this.durable = place.durable;
    this.grainExp = entry.grainExp;
    this.values = entry.values;
    this.archivedValues = entry.archivedValues;
    this.valueBytes = entry.valueBytes;
    this.allocatedGrains = entry.allocatedGrains;
    this.pages = new StratumPages(this, { source, loaded }, () => this.#freeGrains);
    const maps = entry.maps.map((map) => new GrainMap(map, entry.grainExp, true));
    this.#maps = new MapList(maps, entry.endIndex);
    this.#freeGrains = new FreeGrains(this, this.pages, entry.allocatedGrains);
    this.#freeGrains.addUnopened(maps);
    const parts = { maps: this.#maps, pages: this.pages, freeGrains: this.#freeGrains };
    this.moves = new MapReplacements(parts, this.#claims);
    this.#recount = checks.strict ? new Recount(this) : undefined;
  }

  /** The record that adds it is durable. */
  becomeDurable(): void {
    this.durable = true;
  }

  /** Grains that are neither committed nor reserved. */
  get freeGrains(): number {
    return this.#freeGrains.count;
  }

  /** Grains of all maps. */
  get totalGrains(): number {
    return this.#maps.grains;
  }

  get maps(): readonly GrainMap[] {
    return this.#maps.all;
  }

  /** Index of the next map's first grain. */
  get endIndex(): number {
    return this.#maps.endIndex;
  }

  /** `endIndex` without the maps that only this process knows. */
  get durableEndIndex(): number {
    return this.#maps.durableEndIndex;
  }

  get grainBytes(): number {
    return 1 << this.grainExp;
  }

  /** The map of the grain, opened or not; undefined if there is none. */
  mapWith(index: number): GrainMap | undefined {
    return this.#maps.find(index);
  }

  /** The map of the grain, opened; undefined if there is none. */
  openedWith(index: number): GrainMap | undefined {
    const map = this.#maps.find(index);
    if (map !== undefined && !map.opened) this.pages.open(map);
    return map;
  }

  /** The mark page of the grain in an opened map, loaded. */
  loadedPage(map: GrainMap, index: number): MarkPage {
    const page = map.pageOf(index);
    if (!page.loaded) this.pages.load(page);
    else page.use();
    return page;
  }

  /** The place of the grain `index` in memory, its page loaded; undefined if no map has it. */
  find(index: number): GrainSpot | undefined {
    const map = this.openedWith(index);
    if (map === undefined) return undefined;
    const page = this.loadedPage(map, index);
    return { map, page, at: index - page.firstIndex };
  }

  /**
   * The mark pages of a map, each loaded when it is its turn: it may be evicted when another page
   * is loaded. Ends if the map is dropped meanwhile, and has none if it is not there.
   */
  *pagesOf(map: GrainMap): Generator<MarkPage> {
    if (this.#maps.find(map.firstIndex) !== map) return;
    this.pages.open(map);
    for (const { firstIndex } of map.pages) {
      if (this.#maps.find(firstIndex) !== map) return;
      yield this.loadedPage(map, firstIndex);
    }
  }

  /** True if an open or committing session archives the value. */
  isClaimed(index: number): boolean {
    return this.#claims.has(index);
  }

  /** A session archives a value. Requires: its page is loaded. */
  claim(index: number): void {
    this.#claims.add(index);
    this.mapOf(index).pageOf(index).claim();
  }

  /** The claimed value is archived, or its session gives up. */
  unclaim(index: number): void {
    if (this.#claims.delete(index)) this.mapOf(index).pageOf(index).unclaim();
  }

  isArchived(index: number): boolean {
    const spot = this.find(index);
    return spot?.page.mark(spot.at) === markArchived;
  }

  /** Byte offset of a grain. Requires: a map has it. */
  offsetOf(index: number): number {
    return this.mapOf(index).grainOffset(index);
  }

  /** The parts of the file with `bytes` bytes from the grain `index` on. */
  partsOf(index: number, bytes: number): FilePart[] {
    const map = this.mapOf(index);
    return map.parts(index, bytes) ?? [{ offset: map.grainOffset(index), bytes }];
  }

  mapOf(index: number): GrainMap {
    const map = this.#maps.find(index);
    assert(map !== undefined, 'a grain in use belongs to a map');
    return map;
  }

  get setAside(): SetAside {
    return this.#freeGrains.setAside;
  }

  /**
   * Reserves `count` free grains in a row and returns the first index. Returns -1 if no map has
   * them, except where the disk may refuse writes.
   */
  reserve(count: number, doubts?: Doubts): number {
    return this.#freeGrains.reserve(count, doubts);
  }

  /** Reserves exactly these grains; false if one is taken or does not exist. */
  reserveAt(index: number, count: number): boolean {
    const spot = this.find(index);
    if (spot === undefined || spot.at + count > spot.page.grains) return false;
    return this.#freeGrains.reserveAt(spot.page, spot.at, count);
  }

  /** Releases a reservation. */
  release(index: number, count: number): void {
    this.#freeGrains.release(index, count);
  }

  /** Makes grains that were set aside free again. */
  takeBackSetAside(): void {
    this.#freeGrains.takeBackSetAside();
  }

  /**
   * Publishes one change of a durable batch: a reserved run becomes a value, or a value is archived
   * or freed. A freed run can be reserved again. If the freed value had its map to itself, returns
   * the map: it is retired and must be given back.
   */
  publish(change: MarkChange, run: GrainRun): GrainMap | undefined {
    const { index, count } = run;
    const map = this.openedWith(index);
    assert(map !== undefined, 'a published value has a map');
    const page = this.loadedPage(map, index);
    const at = index - page.firstIndex;
    assert(page.isTaken(at), 'only reserved or committed grains are published');
    assert(page.apply(change, at, count), 'the marks agree with what is published');
    this.pages.changed(page, map);
    this.#count(change, run, map);
    if (change === 'archive') this.unclaim(index);
    if (change === 'free') this.release(index, count);
    this.#recount?.changed();
    if (change !== 'free' || count !== map.grains) return undefined;
    if (!map.isStill && !this.retire(map)) return undefined;
    map.vacate();
    return map;
  }

  #count(change: MarkChange, run: GrainRun, map: GrainMap): void {
    if (change !== 'allocate') this.archivedValues += change === 'archive' ? 1 : -1;
    if (change === 'archive') return;
    const sign = change === 'allocate' ? 1 : -1;
    map.countCommitted(sign * run.count);
    this.allocatedGrains += sign * run.count;
    this.values += sign;
    this.valueBytes += sign * run.length;
  }

  /**
   * Replays one change of a logged batch. Marks change only if their page does not hold the batch
   * yet; counters change if `counted`: the basin does not hold it. Throws `VARVE_CORRUPT` if the
   * marks contradict the change.
   */
  replay(change: MarkChange, run: GrainRun, as: ReplayOf): void {
    const doomed = this.#maps.find(run.index);
    if (doomed !== undefined && this.#doomed.has(doomed)) {
      if (as.counted) this.#countReplayed(change, run, doomed);
      return;
    }
    const map = this.openedWith(run.index);
    // The map was dropped before its basin was written.
    if (map === undefined && !as.counted) return;
    const replaced = map === undefined ? this.moves.replacedWith(run.index) : undefined;
    if (replaced !== undefined) {
      this.#countReplayed(change, run, replaced);
      return;
    }
    const page = map === undefined ? undefined : this.loadedPage(map, run.index);
    const at = run.index - (page?.firstIndex ?? 0);
    if (map === undefined || page === undefined || at + run.count > page.grains) {
      throw corrupt('the commit log names grains that no map has', { batch: as.batch });
    }
    if (as.batch > page.stamp) {
      if (!page.apply(change, at, run.count)) {
        const facts = { batch: as.batch, offset: map.grainOffset(run.index) };
        const message = `the grain map contradicts the commit log, which would ${change} a value`;
        throw corrupt(message, facts);
      }
      this.#freeGrains.replayed(change, page, at, run.count);
      this.pages.changed(page, map);
    }
    if (as.counted) this.#countReplayed(change, run, map);
  }

  #countReplayed(change: MarkChange, run: GrainRun, map: GrainMap): void {
    this.#count(change, run, map);
    if (change === 'archive') return;
    this.#freeGrains.countTaken(map, change === 'allocate' ? run.count : -run.count);
  }

  /**
   * The basin was healed from a twin with this stamp: loads the map, unless `willDrop` names it.
   * The next settle names its pages as they are found now. A damaged page stays as it is: reading
   * its values reports the damage.
   */
  basinHealed(map: GrainMap, stamp: number): void {
    if (this.#doomed.has(map)) return;
    this.pages.basinHealed(map, stamp);
    try {
      for (const _ of this.pagesOf(map));
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    }
  }

  /** A record still to be replayed drops this map: its pages must not be read. */
  willDrop(firstIndex: number): void {
    const map = this.#maps.find(firstIndex);
    if (map?.firstIndex === firstIndex) this.#doomed.add(map);
  }

  /** Adds a map with only free grains. */
  addMap(at: MapPlacement & { readonly firstIndex: number }, durable: boolean): GrainMap {
    const entry = newMapEntry(at.firstIndex, at);
    const map = new GrainMap(entry, this.grainExp, durable);
    this.#maps.add(map);
    this.pages.open(map);
    return map;
  }

  /**
   * Empty maps that can be given back while enough grains stay free, those last in the file first.
   */
  emptyMaps(): GrainMap[] {
    return this.#maps.spare(this.#freeGrains.count);
  }

  /** Stops reservations in an empty map; false if it is not empty, is retired, or is damaged. */
  retire(map: GrainMap): boolean {
    return this.#freeGrains.retire(map);
  }

  /**
   * Allows reservations in a retired map again, unless it was made for one value: that one is given
   * back.
   */
  restore(map: GrainMap): void {
    this.#freeGrains.restore(map);
  }

  /** Removes an empty map. */
  dropMap(firstIndex: number): GrainMap | undefined {
    const map = this.#maps.find(firstIndex);
    if (map?.firstIndex !== firstIndex) return undefined;
    this.#doomed.delete(map);
    this.moves.remove(map);
    return map;
  }

  /** The pages that a settle must write. */
  dirtyPages(): DirtyPage[] {
    return Array.from(this.pages.dirty, ([page, map]) => ({ stratum: this, map, page }));
  }

  /** The stratum as its basin has it. */
  entry(): StratumEntry {
    this.#recount?.now();
    return {
      grainExp: this.grainExp,
      values: this.values,
      archivedValues: this.archivedValues,
      valueBytes: this.valueBytes,
      allocatedGrains: this.allocatedGrains,
      endIndex: this.#maps.durableEndIndex,
      maps: this.#maps.all.filter((map) => map.durable).map((map) => map.entry()),
    };
  }
}
