/**
 * The grain maps of a stratum, in the order of their grains.
 *
 * Invariant: maps do not overlap, and a map begins at or after the end of every map there ever was
 * before it: an index is not used for a second map, so that replay cannot take one for the other.
 */

import { assert } from '../util/assert.ts';
import type { GrainMap } from './grain-map.ts';

export class MapList {
  readonly #maps: GrainMap[] = [];
  #lastFound: GrainMap | undefined;
  /** Index after the last grain that any map ever had. */
  endIndex: number;

  constructor(maps: readonly GrainMap[], endIndex: number) {
    this.#maps.push(...maps);
    this.endIndex = endIndex;
  }

  get all(): readonly GrainMap[] {
    return this.#maps;
  }

  /** `endIndex`, without the maps that only this process knows of. */
  get durableEndIndex(): number {
    return this.#maps.find((map) => !map.durable)?.firstIndex ?? this.endIndex;
  }

  /** The map that has the grain. */
  find(index: number): GrainMap | undefined {
    const last = this.#lastFound;
    if (last !== undefined && index >= last.firstIndex && index < last.firstIndex + last.grains) {
      return last;
    }
    let low = 0;
    let high = this.#maps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#maps[middle] as GrainMap).firstIndex <= index) low = middle + 1;
      else high = middle;
    }
    const map = this.#maps[low - 1];
    if (map === undefined || index >= map.firstIndex + map.grains) return undefined;
    this.#lastFound = map;
    return map;
  }

  add(map: GrainMap): void {
    assert(map.firstIndex >= this.endIndex, 'a grain map is added after the last');
    this.#maps.push(map);
    this.endIndex = map.firstIndex + map.grains;
  }

  /** Takes out the map that begins with this grain. */
  remove(firstIndex: number): GrainMap | undefined {
    const map = this.find(firstIndex);
    if (map?.firstIndex !== firstIndex) return undefined;
    this.#maps.splice(this.#maps.indexOf(map), 1);
    this.#lastFound = undefined;
    return map;
  }
}
