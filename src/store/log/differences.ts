/**
 * The values that followed batches allocated and freed: the difference between any batch from
 * `floor` on and the newest one.
 *
 * Invariant: `firstAfter` gives an id's first change after a batch. A free says that the value
 * existed, and that its grains may have another content now. An allocation says that nothing was
 * there. At most `changesMax` changes are kept: beyond that the oldest half is dropped, and `floor`
 * rises. It reads nothing.
 */

import type { GrainIdParts } from '../../format/grain-id.ts';
import type { LogRecord, ReplacedMap } from '../../format/log-record.ts';
import { assert } from '../../util/assert.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';

/** One value allocated or freed by a batch. */
export interface Change {
  readonly batch: number;
  readonly kind: 'allocate' | 'free';
}

/** A map that a batch replaced. */
export interface ReplacedAfter {
  readonly batch: number;
  readonly map: ReplacedMap;
}

/** Changes that are kept at most: some 30 MB. */
export const differencesMax = 2 ** 18;

/** The changes of one stratum. */
interface StratumChanges {
  readonly basin: number;
  readonly stratum: number;
  /** By the index of the value's first grain, in batch order. */
  readonly values: Map<number, Change[]>;
  /** The batch that dropped a map, by the map's first index, which is never used again. */
  readonly drops: Map<number, number>;
}

export class Differences {
  readonly #changesMax: number;
  readonly #strata = new Map<number, StratumChanges>();
  /** Number of changes of each batch that has any. */
  #counts: { readonly batch: number; readonly changes: number }[] = [];
  #changes = 0;
  #floor: number;
  /** In batch order; they do not count for the bound: there are few. */
  #replaced: ReplacedAfter[] = [];

  constructor(floor: number, changesMax = differencesMax) {
    this.#floor = floor;
    this.#changesMax = changesMax;
  }

  /** All changes after this batch are known. */
  get floor(): number {
    return this.#floor;
  }

  /** Number of changes that are kept. */
  get size(): number {
    return this.#changes;
  }

  /**
   * Adds the record of the batch after the newest one. In its pauses some of the batch's changes
   * are there already. Requires: no other record is added in its pauses.
   */
  *add({ batch, operations }: LogRecord): Steps<void> {
    let changes = 0;
    for (const [at, one] of operations.entries()) {
      if (at % stepsPerPause === stepsPerPause - 1) yield pause;
      if (one.operation === 'allocate' || one.operation === 'free') {
        const { values } = this.#stratum(one.basin, one.stratum);
        const change: Change = { batch, kind: one.operation };
        const known = values.get(one.index);
        if (known === undefined) values.set(one.index, [change]);
        else known.push(change);
        changes += 1;
      } else if (one.operation === 'drop-map') {
        this.#stratum(one.basin, one.stratum).drops.set(one.firstIndex, batch);
        changes += 1;
      } else if (one.operation === 'replace-map') this.#replaced.push({ batch, map: one });
    }
    if (changes === 0) return;
    assert(batch > (this.#counts.at(-1)?.batch ?? this.#floor), 'changes are added in batch order');
    this.#counts.push({ batch, changes });
    this.#changes += changes;
    if (this.#changes > this.#changesMax) yield* this.#makeRoom();
  }

  #stratum(basin: number, stratum: number): StratumChanges {
    const key = keyOf(basin, stratum);
    let found = this.#strata.get(key);
    if (found === undefined) {
      found = { basin, stratum, values: new Map(), drops: new Map() };
      this.#strata.set(key, found);
    }
    return found;
  }

  *#makeRoom(): Steps<void> {
    let left = this.#changes;
    let last = 0;
    for (const { batch, changes } of this.#counts) {
      if (left <= this.#changesMax / 2) break;
      left -= changes;
      last = batch;
    }
    yield* this.forgetUpTo(last);
  }

  /** The first change of the value after `batch`. */
  firstAfter({ basin, stratum, index }: GrainIdParts, batch: number): Change | undefined {
    const changes = this.#strata.get(keyOf(basin, stratum))?.values.get(index);
    return changes?.find((change) => change.batch > batch);
  }

  /** True if the map that begins with this grain was dropped after `batch`. */
  isDropped(basin: number, stratum: number, firstIndex: number, batch: number): boolean {
    return (this.#strata.get(keyOf(basin, stratum))?.drops.get(firstIndex) ?? 0) > batch;
  }

  /** The maps that were replaced after `batch`, in order; all of them from `floor` on. */
  *replacedAfter(batch: number): Generator<ReplacedAfter> {
    for (const one of this.#replaced) if (one.batch > batch) yield one;
  }

  /** All values allocated or freed after batch `after`, up to batch `to`. */
  *between(after: number, to: number): Generator<GrainIdParts> {
    for (const { basin, stratum, values } of this.#strata.values()) {
      for (const [index, changes] of values) {
        const inside = changes.some(({ batch }) => batch > after && batch <= to);
        if (inside) yield { basin, stratum, index };
      }
    }
  }

  /**
   * Drops changes up to `batch`: no earlier state is needed. The floor rises at once. If a `reset`
   * in its pauses sets a lower floor, it ends: the changes after that floor are needed again.
   */
  *forgetUpTo(batch: number): Steps<void> {
    if (batch <= this.#floor) return;
    this.#floor = batch;
    this.#counts = this.#counts.filter((one) => one.batch > batch);
    this.#replaced = this.#replaced.filter((one) => one.batch > batch);
    this.#changes = this.#counts.reduce((sum, { changes }) => sum + changes, 0);
    let looked = 0;
    for (const { values, drops } of this.#strata.values()) {
      for (const [index, changes] of values) {
        if (looked++ % stepsPerPause === 0) yield pause;
        const kept = changes.filter((change) => change.batch > batch);
        if (kept.length === 0) values.delete(index);
        else if (kept.length < changes.length) values.set(index, kept);
      }
      // The strata after this one may be those of the new start.
      if (this.#floor < batch) return;
      for (const [index, dropped] of drops) if (dropped <= batch) drops.delete(index);
    }
  }

  /** Drops everything: changes after `batch` follow. */
  reset(batch: number): void {
    this.#replaced = [];
    this.#strata.clear();
    this.#counts = [];
    this.#changes = 0;
    this.#floor = batch;
  }
}

function keyOf(basin: number, stratum: number): number {
  return basin * 256 + stratum;
}
