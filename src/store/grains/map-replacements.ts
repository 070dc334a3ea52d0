/**
 * The maps of a stratum that others replace, those that are being copied for that, and those that
 * get no new values.
 *
 * Invariants:
 * - The maps that replace one have all of its values, under their indexes. No other map ever had
 *   these indexes.
 * - No grain is reserved in a map that is kept still or closed.
 *
 * It copies no values, and knows nothing of the log.
 */

import type { FreeGrains } from './free-grains.ts';
import { GrainMap, newMapEntry } from './grain-map.ts';
import type { MapList } from './map-list.ts';
import { type MapPart, partOf } from './map-parts.ts';
import type { StratumPages } from './stratum-pages.ts';

/** The parts of the stratum that it changes. */
interface StratumParts {
  readonly maps: MapList;
  readonly pages: StratumPages;
  readonly freeGrains: FreeGrains;
}

export class MapReplacements {
  readonly #parts: StratumParts;
  /** Indexes of values that sessions archive. */
  readonly #claims: ReadonlySet<number>;
  /** Maps that others have replaced before the base, and those: known while it is replayed. */
  readonly #replaced: GrainMap[] = [];
  readonly #placed = new Set<GrainMap>();

  constructor(parts: StratumParts, claims: ReadonlySet<number>) {
    this.#parts = parts;
    this.#claims = claims;
  }

  /**
   * The maps `parts` replaced this one with `batch`, and a settle has written their marks: these
   * are read from there. If the basin was healed, `countPlaced` must follow, after the replay up to
   * the base.
   */
  placeParts(old: GrainMap, parts: readonly MapPart[], batch: number): void {
    if (old.opened && old.pages.every(({ loaded }) => loaded)) {
      // The log adds it, so all of its marks are in memory.
      this.replace(old, parts);
      return;
    }
    const maps = parts.map(({ firstIndex, grains, page }) => {
      const entry = newMapEntry(firstIndex, { grains, page, further: [] });
      return new GrainMap(entry, old.grainExp, true);
    });
    this.remove(old);
    this.#parts.maps.insert(old.firstIndex, maps);
    this.#parts.freeGrains.addUnopened(maps);
    this.#replaced.push(old);
    for (const map of maps) {
      this.#placed.add(map);
      this.#parts.pages.placed(map, batch);
    }
  }

  /** Counts the grains of maps that `placeParts` has placed, by their marks. */
  countPlaced(): void {
    for (const map of this.#placed) {
      let committed = 0;
      for (const page of this.#parts.pages.of(map)) committed += page.recount().committed;
      map.countTaken(committed - map.takenGrains);
      map.countCommitted(committed - map.committedGrains);
    }
    this.#placed.clear();
    this.#replaced.length = 0;
  }

  /**
   * Stops reservations in a map, which is to be copied to another place. Returns false if some of
   * its grains are reserved, or if it is retired or damaged. Throws `VARVE_IO`.
   */
  keepStill(map: GrainMap): boolean {
    if (map.vacated || map.isStill || !this.#parts.freeGrains.keepStill(map)) return false;
    map.keepStill(true);
    return true;
  }

  /** No new value is stored in the map until `openClosed`. */
  closeToValues(map: GrainMap): void {
    const { maps, freeGrains } = this.#parts;
    if (maps.find(map.firstIndex) !== map || map.vacated || map.isStill) return;
    if (freeGrains.close(map)) map.close(true);
  }

  /** New values may be stored again in maps that were closed to them. */
  openClosed(): void {
    for (const map of this.#parts.maps.all) {
      if (!map.isClosed) continue;
      map.close(false);
      if (!map.vacated && !map.isStill) this.#parts.freeGrains.letGo(map);
    }
  }

  /** The map is not copied any more. One that was emptied meanwhile is given back. */
  letGo(map: GrainMap): void {
    map.keepStill(false);
    if (!map.vacated) this.#parts.freeGrains.letGo(map);
  }

  /**
   * Other maps have the values of this one from now on, each in one extent. The next settle writes
   * all of their marks; until then they stay loaded. Requires: the marks of the map are loaded, and
   * the others have all of its values, none in two mark pages.
   */
  replace(old: GrainMap, parts: readonly MapPart[]): void {
    const { freeGrains, pages } = this.#parts;
    const made = parts.map((part) => partOf(old, part));
    this.remove(old);
    const maps = made.map(({ map }) => map);
    this.#parts.maps.insert(old.firstIndex, maps);
    for (const { map, marks, stamp } of made) {
      map.open(undefined);
      pages.adopt(map, marks, stamp);
      if (old.isClosed) map.close(true);
      else for (const page of map.pages) freeGrains.add(page, page.grains);
    }
    for (const index of this.#claims) {
      const map = maps.find((one) => one.has(index));
      map?.pageOf(index).claim();
    }
  }

  /**
   * Loads all marks of a map, before a logged replacement of it is replayed. Throws
   * `VARVE_CORRUPT`, `VARVE_IO`.
   */
  loadAll(map: GrainMap): void {
    // A page with changes is not evicted when the next one is loaded.
    for (const page of this.#parts.pages.of(map)) this.#parts.pages.changed(page, map);
  }

  /** The map with this grain that was replaced before the base. */
  replacedWith(index: number): GrainMap | undefined {
    return this.#replaced.find((map) => map.has(index));
  }

  /** Removes a map: none of its grains is used any more. */
  remove(map: GrainMap): void {
    this.#parts.maps.remove(map.firstIndex);
    this.#parts.freeGrains.drop(map);
    this.#parts.pages.drop(map);
  }
}
