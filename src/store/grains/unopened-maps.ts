/**
 * Chooses the grain map of a stratum to open next: one whose entry in the basin allows a free run
 * that is long enough.
 *
 * Invariant: a failed search is O(1) when repeated. It opens nothing.
 */

import type { GrainMap } from './grain-map.ts';

export class UnopenedMaps {
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
