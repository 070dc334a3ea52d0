/**
 * One trial of a store after a cut or a kill: reopen it, hold it against what it should have,
 * commit to it, cut the power again, reopen, hold it against that.
 *
 * Invariant: every trial ends in a store that was verified after its last opening.
 */

import { isVarveError } from '../../../src/errors.ts';
import { type DiskState, powerCut, restarted } from '../disks/disk-state.ts';
import { SimulatedDisk } from '../disks/simulated-disk.ts';
import { compareStore } from '../oracles/compare-store.ts';
import type { ExpectedContent } from '../oracles/expected-content.ts';
import type { History } from './histories.ts';
import { Life, LifeOver } from './life.ts';
import type { LifeSettings } from './life-settings.ts';

/** What a history left behind: what each batch of it did, and when each was acknowledged. */
export interface Witness {
  readonly settings: LifeSettings;
  readonly expected: ExpectedContent;
  readonly acknowledged: readonly { readonly batch: number; readonly operation: number }[];
}

/** The last batch that had been acknowledged before this operation of the disk. */
export function acknowledgedBefore({ acknowledged }: Witness, operation: number): number {
  let last = 0;
  for (const told of acknowledged) {
    if (told.operation <= operation) last = Math.max(last, told.batch);
  }
  return last;
}

/**
 * Opens the store of `state`: it has everything up to `floor`, and at most one batch more. Beside an
 * intruder two: one that is durable and of which its session has not heard yet, and the next.
 */
export async function reopened(
  state: DiskState,
  witness: Pick<Witness, 'settings' | 'expected'> & { readonly deep?: boolean },
  floor: number,
  disk = new SimulatedDisk({ state, records: false }),
): Promise<Life> {
  const opening = new Life(disk, witness.settings);
  await opening.open();
  const { currentBatch } = opening.store;
  if (currentBatch < floor) {
    throw new Error(`batch ${floor} was acknowledged, the store ends with ${currentBatch}`);
  }
  const content = witness.expected.at(currentBatch);
  const ahead = witness.settings.intrudes === true ? 2 : 1;
  if (content === undefined || currentBatch > floor + ahead) {
    throw new Error(`the store has batch ${currentBatch}, batch ${floor} was acknowledged`);
  }
  await compareStore(opening.store, content, witness.deep);
  return opening.goOn(witness.expected.upTo(currentBatch));
}

/** A commit that touches old and new grains. */
export async function commitMore(life: Life): Promise<void> {
  await life.commit((draft) => {
    draft.archive(...life.live.slice(0, 2));
    draft.setHeader(draft.push(33));
    draft.push(444);
    draft.push(life.settings.limits === undefined ? 5555 : 200);
  });
}

/** The batch that the store was found to end with. */
export async function survives(
  state: DiskState,
  witness: Pick<Witness, 'settings' | 'expected'>,
  floor: number,
): Promise<number> {
  const life = await reopened(state, witness, floor);
  const decided = life.expected.current.batch;
  await commitMore(life);
  const { batch } = life.expected.current;
  const after = restarted(powerCut(life.disk.state, () => false));
  await reopened(after, life, batch);
  return decided;
}

/** Runs a history while faults are made; whether the store was poisoned. */
export async function runWithFaults(life: Life, history: History): Promise<boolean> {
  life.tolerant = true;
  try {
    await history.run(life);
    return false;
  } catch (error) {
    if (!(error instanceof LifeOver) && !isVarveError(error, 'VARVE_POISONED')) throw error;
    // The other sessions of the batch hear of it in the same turn.
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }
}

/**
 * Opens a store over which a life has ended by a failed sync: what was acknowledged is there, and
 * the sessions whose own sync it was are there together or not.
 */
export async function succeed(state: DiskState, life: Life, seed = 1): Promise<Life> {
  const { settings, uncertain } = life;
  const expected = life.expected.upTo(life.expected.current.batch);
  const next = new Life(new SimulatedDisk({ state, seed }), settings, expected);
  await next.open();
  await next.decide(uncertain);
  await compareStore(next.store, next.expected.current);
  return next;
}
