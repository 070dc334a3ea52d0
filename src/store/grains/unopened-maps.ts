/**
 * Which grain map of a stratum to open next: one that has not been opened, and may have a free run
 * that is long enough by what its basin says of it.
 *
 * Invariant: asking again and again for what no map has costs nothing. It opens nothing.
 */

import type { GrainMap } from './grain-map.ts';

export class UnopenedMaps {
  /** Longest free run that one of them may have. */
  #longest = 0;
  /** Maps that are damaged. */
  readonly #skipped = new Set<GrainMap>();

  add(maps: readonly GrainMap[]): void {
    for (const { longestFree } of maps) this.#longest = Math.max(this.#longest, longestFree);
  }

  /** The map is never chosen any more. */
  skip(map: GrainMap): void {
    this.#skipped.add(map);
  }

  isSkipped(map: GrainMap): boolean {
    return this.#skipped.has(map);
  }

  /** One of `maps` that may have `count` free grains in a row. */
  choose(maps: readonly GrainMap[], count: number): GrainMap | undefined {
    if (count > this.#longest) return undefined;
    const unopened = maps.filter((map) => !map.opened && !this.#skipped.has(map));
    const chosen = unopened.find((map) => map.longestFree >= count);
    this.#longest = 0;
    // The chosen one too: where the disk refuses to read it, it is chosen again.
    this.add(unopened);
    return chosen;
  }
}
