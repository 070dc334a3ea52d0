/**
 * Watches of single values: a watch knows whether its value has been freed since it began, and how
 * often its map has moved.
 *
 * Ids are used again: after a value was freed, another one may be read under its id. Invariant: the
 * watches of a value learn of its end before its grains can be given out. Without watches a freed
 * value costs one comparison. A watch holds nothing back: that is what guards are for.
 */

import { type GrainIdParts, joinGrainId } from '../../format/grain-id.ts';

export interface FreedWatch {
  /** The value has been freed since the watch began. */
  readonly isFreed: boolean;
  /** Moves of its map since the watch began. */
  readonly moves: number;
  /** Ends the watch: nothing of it changes any more. */
  end(): void;
}

class Watch implements FreedWatch {
  readonly id: GrainIdParts;
  isFreed = false;
  moves = 0;
  readonly #end: (watch: Watch) => void;

  constructor(id: GrainIdParts, end: (watch: Watch) => void) {
    this.id = id;
    this.#end = end;
  }

  freed(): void {
    this.isFreed = true;
  }

  moved(): void {
    this.moves += 1;
  }

  end(): void {
    this.#end(this);
  }
}

export class FreedWatches {
  readonly #watching = new Map<bigint, Set<Watch>>();

  /** Watches the value that has this id now. */
  watch(id: GrainIdParts): FreedWatch {
    const key = joinGrainId(id.basin, id.stratum, id.index);
    const all = this.#watching;
    const watching = all.get(key) ?? new Set();
    const watch = new Watch(id, () => {
      watching.delete(watch);
      if (watching.size === 0 && all.get(key) === watching) all.delete(key);
    });
    watching.add(watch);
    all.set(key, watching);
    return watch;
  }

  /** The value is being freed. */
  freed({ basin, stratum, index }: GrainIdParts): void {
    if (this.#watching.size === 0) return;
    const key = joinGrainId(basin, stratum, index);
    const watching = this.#watching.get(key);
    if (watching === undefined) return;
    this.#watching.delete(key);
    for (const watch of watching) watch.freed();
  }

  /** The map with `grains` grains from this one on has moved. */
  moved({ basin, stratum, index }: GrainIdParts, grains: number): void {
    for (const watching of this.#watching.values()) {
      for (const watch of watching) {
        const { id } = watch;
        const isNear = id.basin === basin && id.stratum === stratum;
        if (isNear && id.index >= index && id.index < index + grains) watch.moved();
      }
    }
  }
}
