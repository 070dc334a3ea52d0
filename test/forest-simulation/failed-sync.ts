/**
 * Finds out which state a failed sync has left, on a copy of the disk, before the forest itself is
 * opened again.
 *
 * Invariant: the copy decides, the forest must agree. In the copy everything that no state has is
 * archived and freed, so that a value which is there belongs to the state. The forest keeps its
 * leftovers, and the rest of the program runs on them.
 */

import type { Store } from '../../src/index.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import type { ForestLife } from './forest-life.ts';
import { fitting } from './held-views.ts';
import type { State } from './model/model-state.ts';
import { difference, isValueThere, namesDiffer, readAll } from './observation.ts';

/** Settles what the ledger and the other user of the store do not know. */
export async function settleOnCopy(life: ForestLife): Promise<void> {
  const { ledger, neighbour, chaos, random } = life;
  chaos.pause(true);
  const state = life.slow.disk.state;
  const handles = await life.openOn(new SimulatedDisk({ state, records: false }));
  const { forest } = handles;
  life.reached.note('poisoned');
  const states = ledger.reopened(chaos.failedSync);
  const reading = readAll(handles, (handle) => handle, { random, share: 1 });
  const fits = fitting(
    'what a failed sync has left',
    states,
    (one) =>
      difference(handles, reading, one) ??
      namesDiffer(forest.names(), one) ??
      life.historiesDiffer(one, handles),
  );
  await freeEverythingArchived(forest);
  const known = new Map(fits.flatMap(({ pushed }) => [...pushed]));
  const there = new Set([...known].filter((one) => isValueThere(forest, one)).map(([id]) => id));
  const right = fitting('pushed values that a failed sync has left', fits, ({ pushed }) =>
    pushedSetDiffers(pushed, there),
  );
  if (!right.includes(states[0] as State)) life.reached.note('failed batch kept');
  if (!right.includes(states.at(-1) as State)) life.reached.note('failed batch lost');
  neighbour.settleOn(forest.store);
  await forest.close();
  ledger.settleOn(right[0] as State);
  chaos.pause(false);
}

/** A commit archives what no state has; what was archived is freed then. */
export async function freeEverythingArchived(forest: {
  readonly store: Store;
  transaction(body: () => void): Promise<unknown>;
}): Promise<void> {
  const { store } = forest;
  await forest.transaction(() => undefined);
  await store.checkpointTo(store.currentBatch);
}

function pushedSetDiffers(
  expected: State['pushed'],
  there: ReadonlySet<unknown>,
): string | undefined {
  for (const id of expected.keys()) if (!there.has(id)) return `${id} is not there`;
  for (const id of there) if (!expected.has(id as never)) return `${id} is there`;
  return undefined;
}
