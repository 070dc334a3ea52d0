/**
 * The values that batches after one batch have allocated and archived, and the maps that they have
 * dropped: marks of a later state show with them what was live as of that batch.
 *
 * Invariant: a value is live as of the batch if its marks say that it is live and no later batch
 * has allocated it, or if they say that it is archived and only a later batch has archived it. That
 * holds for marks of any state up to the last change that is noted. Requires: nothing that was live
 * as of the batch has been freed since. It reads nothing.
 */

import type { GrainIdParts } from '../../format/grain-id.ts';
import { markArchived, markValue } from '../../format/layout.ts';

const allocated = 1;
const archived = 2;

/** The changes of one stratum: which of the two happened, by the index of the first grain. */
export type StratumChanges = ReadonlyMap<number, number>;

export class ChangesSince {
  readonly #strata = new Map<number, Map<number, number>>();
  /** Strata whose marks have all been read. */
  readonly #done = new Set<number>();
  readonly #dropped = new Map<number, Set<number>>();

  /** Notes a change of a later batch. */
  note(change: 'allocate' | 'archive', { basin, stratum, index }: GrainIdParts): void {
    const key = keyOf(basin, stratum);
    if (this.#done.has(key)) return;
    let values = this.#strata.get(key);
    if (values === undefined) {
      values = new Map();
      this.#strata.set(key, values);
    }
    const flag = change === 'allocate' ? allocated : archived;
    values.set(index, (values.get(index) ?? 0) | flag);
  }

  /** A later batch has dropped the map: as of the batch, it held nothing that is live. */
  noteDrop(basin: number, stratum: number, firstIndex: number): void {
    const key = keyOf(basin, stratum);
    const maps = this.#dropped.get(key);
    if (maps === undefined) this.#dropped.set(key, new Set([firstIndex]));
    else maps.add(firstIndex);
  }

  isDropped(basin: number, stratum: number, firstIndex: number): boolean {
    return this.#dropped.get(keyOf(basin, stratum))?.has(firstIndex) ?? false;
  }

  /** The changes of a stratum; undefined without any. */
  of(basin: number, stratum: number): StratumChanges | undefined {
    return this.#strata.get(keyOf(basin, stratum));
  }

  /** All marks of the stratum have been read: its changes are not needed any more. */
  forget(basin: number, stratum: number): void {
    const key = keyOf(basin, stratum);
    this.#done.add(key);
    this.#strata.delete(key);
  }
}

/** True if a value with this mark was live as of the batch. */
export function wasLive(mark: number, changes: StratumChanges | undefined, index: number): boolean {
  const since = changes?.get(index) ?? 0;
  if (mark === markValue) return (since & allocated) === 0;
  return mark === markArchived && since === archived;
}

function keyOf(basin: number, stratum: number): number {
  return basin * 256 + stratum;
}
