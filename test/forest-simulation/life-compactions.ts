/**
 * Compactions of a forest beside everything else that a program does.
 *
 * Invariant: a program sees nothing of a compaction: neither the states of its model change by it,
 * nor what is held. Which values are thin is the program's choice: maps of a small store hardly
 * ever are.
 */

import { GrainId, type Store } from '../../src/index.ts';
import { Random } from '../support/random.ts';
import type { ForestLife } from './forest-life.ts';
import type { Step } from './model/plan.ts';
import { turns } from './world/chaos.ts';
import { nameOf, SimulationFailure, unexpected } from './world/failure.ts';

/** Begins a compaction, if none is running. */
export function compactIn(life: ForestLife, step: Extract<Step, { do: 'compact' }>): void {
  if (life.isCompacting) return;
  const { forest, reached } = life;
  life.isCompacting = true;
  if (life.inFlight.isWriting) reached.note('compacted beside transactions');
  if (life.heldKinds().size > 0) reached.note('compacted beside a view');
  const controller = new AbortController();
  const { thin, keeps, abort } = step;
  const random = new Random(life.nextSeed());
  if (thin !== undefined) {
    Object.defineProperty(forest.store, 'thinValues', {
      configurable: true,
      value: () => someOf(forest.store, random, thin),
    });
  }
  const transactions = life.counts.transactions;
  const ended = (): void => {
    life.isCompacting = false;
    if (life.counts.transactions > transactions) reached.note('transactions while compacting');
    Reflect.deleteProperty(forest.store, 'thinValues');
  };
  const options = {
    signal: controller.signal,
    ...(keeps === true ? { movePushed: () => false } : {}),
  };
  const compacted = forest.compact(options);
  life.follow(
    { name: 'compact', isWrite: true },
    compacted,
    ({ fileBytesBefore, fileBytesAfter, movedBytes, batches }) => {
      ended();
      reached.note('compacted');
      if (movedBytes > 0) reached.note('compaction stored nodes anew');
      for (const count of [fileBytesBefore, fileBytesAfter, movedBytes, batches]) {
        if (!Number.isSafeInteger(count)) throw new SimulationFailure('compact', `told ${count}`);
      }
    },
    (error) => {
      ended();
      if (controller.signal.aborted && error === controller.signal.reason) {
        reached.note('compaction aborted');
        return;
      }
      if (life.accepts(error)) return;
      throw unexpected(`compact rejects with ${nameOf(error)}`, error);
    },
  );
  if (abort !== undefined) void turns(abort).then(() => controller.abort(new Error('enough')));
}

/** A share of all values of the store, in an order of its own. */
async function* someOf(store: Store, random: Random, share: number): AsyncGenerator<GrainId> {
  for (const { basin, stratum, allocated, free } of store.statistics().strata) {
    for (let grain = 0; grain < allocated + free; grain++) {
      const id = GrainId.of(basin, stratum, grain);
      if (store.has(id) && random.chance(share)) yield id;
    }
  }
}
