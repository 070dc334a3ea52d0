/**
 * Watches of single values: a watch knows whether its value has been freed since it began.
 *
 * Ids are used again: after a value was freed, another one may be read under its id. Invariant: the
 * watches of a value learn of its end before its grains can be given out. Without watches a freed
 * value costs one comparison. A watch holds nothing back: that is what guards are for.
 */

import { type GrainIdParts, joinGrainId } from '../../format/grain-id.ts';

export interface FreedWatch {
  /** The value has been freed since the watch began. */
  readonly isFreed: boolean;
  /** Ends the watch; `isFreed` no longer changes. */
  end(): void;
}

export class FreedWatches {
  readonly #freedOf = new Map<bigint, Set<() => void>>();

  /** Watches the value that has this id now. */
  watch(id: GrainIdParts): FreedWatch {
    const key = joinGrainId(id.basin, id.stratum, id.index);
    const all = this.#freedOf;
    let isFreed = false;
    const freed = (): void => {
      isFreed = true;
    };
    const watching = all.get(key) ?? new Set();
    watching.add(freed);
    all.set(key, watching);
    return {
      get isFreed() {
        return isFreed;
      },
      end() {
        watching.delete(freed);
        if (watching.size === 0 && all.get(key) === watching) all.delete(key);
      },
    };
  }

  /** The value is being freed. */
  freed({ basin, stratum, index }: GrainIdParts): void {
    if (this.#freedOf.size === 0) return;
    const key = joinGrainId(basin, stratum, index);
    const watching = this.#freedOf.get(key);
    if (watching === undefined) return;
    this.#freedOf.delete(key);
    for (const freed of watching) freed();
  }
}
