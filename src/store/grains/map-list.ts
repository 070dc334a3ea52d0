/**
 * The grain maps of a stratum, in the order of their grains.
 *
 * Invariant: a map begins at or after the end of every map that there ever was. No index is used
 * for a second map, so replay cannot confuse two maps.
 */

import { assert } from '../../util/assert.ts';
import type { GrainMap } from './grain-map.ts';

export class MapList {
  readonly #maps: GrainMap[] = [];
  /** First index of each map: the array for binary search. */
  #starts = new Float64Array(8);
  #lastFound: GrainMap | undefined;
  /** Index after the last grain that any map ever had. */
  endIndex: number;
  #grains = 0;

  constructor(maps: readonly GrainMap[], endIndex: number) {
    this.#maps.push(...maps);
    for (const { grains } of maps) this.#grains += grains;
    this.endIndex = endIndex;
    const last = maps.at(-1);
    assert(last === undefined || last.firstIndex + last.grains <= endIndex, 'maps end in time');
    this.#keepStarts(0);
  }

  /** Grains of all maps. */
  get grains(): number {
    return this.#grains;
  }

  get all(): readonly GrainMap[] {
    return this.#maps;
  }

  /** `endIndex` without the maps that are not durable. */
  get durableEndIndex(): number {
    return this.#maps.find((map) => !map.durable)?.firstIndex ?? this.endIndex;
  }

  /** The map of the grain. */
  find(index: number): GrainMap | undefined {
    const last = this.#lastFound;
    if (last !== undefined && index >= last.firstIndex && index < last.firstIndex + last.grains) {
      return last;
    }
    const starts = this.#starts;
    let low = 0;
    let high = this.#maps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= index) low = middle + 1;
      else high = middle;
    }
    const map = this.#maps[low - 1];
    if (map === undefined || index >= map.firstIndex + map.grains) return undefined;
    this.#lastFound = map;
    return map;
  }

  /**
   * Empty maps, those last in the file first. A map is included only if dropping it leaves at least
   * as many free grains as it has; `free`: free grains now.
   */
  spare(free: number): GrainMap[] {
    let left = free;
    const empty = this.#maps.filter((map) => map.takenGrains === 0 && map.durable && !map.vacated);
    empty.sort((one, other) => other.page - one.page);
    return empty.filter((map) => {
      if (left < 2 * map.grains) return false;
      left -= map.grains;
      return true;
    });
  }

  /** Updates `#starts` for the maps from position `at` on. */
  #keepStarts(at: number): void {
    if (this.#maps.length > this.#starts.length) {
      const starts = new Float64Array(this.#maps.length * 2);
      starts.set(this.#starts);
      this.#starts = starts;
    }
    for (let next = at; next < this.#maps.length; next++) {
      this.#starts[next] = (this.#maps[next] as GrainMap).firstIndex;
    }
  }

  add(map: GrainMap): void {
    assert(map.firstIndex >= this.endIndex, 'a grain map is added after the last');
    this.#maps.push(map);
    this.#grains += map.grains;
    this.#keepStarts(this.#maps.length - 1);
    this.endIndex = map.firstIndex + map.grains;
  }

  /** Adds maps in place of one that had all of their grains, and is removed. */
  insert(firstIndex: number, maps: readonly GrainMap[]): void {
    const found = this.#maps.findIndex((map) => map.firstIndex > firstIndex);
    const at = found < 0 ? this.#maps.length : found;
    this.#maps.splice(at, 0, ...maps);
    for (const { grains } of maps) this.#grains += grains;
    this.#keepStarts(at);
    this.#lastFound = undefined;
  }

  /** Removes the map that begins with this grain. */
  remove(firstIndex: number): GrainMap | undefined {
    const map = this.find(firstIndex);
    if (map?.firstIndex !== firstIndex) return undefined;
    const at = this.#maps.indexOf(map);
    this.#maps.splice(at, 1);
    this.#grains -= map.grains;
    this.#keepStarts(at);
    this.#lastFound = undefined;
    return map;
  }
}
