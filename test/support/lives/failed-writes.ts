/**
 * Writes and truncates of a history that fail, and what must be true then: what was rejected is never
 * there, at a power cut in the next moments, at the end and after reopening; what was acknowledged
 * is; the store goes on working.
 *
 * Invariant: every check throws.
 */

import { type DiskState, powerCut, restarted } from '../disks/disk-state.ts';
import { type DiskOperation, type Fault, SimulatedDisk } from '../disks/simulated-disk.ts';
import { compareStore } from '../oracles/compare-store.ts';
import type { Work } from '../oracles/expected-content.ts';
import { Random } from '../random.ts';
import type { History } from './histories.ts';
import { Life } from './life.ts';
import { acknowledgedBefore, commitMore, reopened, runWithFaults, succeed } from './trial.ts';

/** What has been tried. */
export const failedWrites = { faults: 0, rejections: 0, cuts: 0 };

const fewSessions = 4;

/** Cuts the power soon after operation `number`, and wherever a commit was rejected. */
async function cutAfter(life: Life, number: number): Promise<void> {
  const random = new Random(number);
  const { before, state } = life.disk;
  const states = [...before, state];
  const soon = [1, 2, 3, 4 + random.below(8)].map((later) => number + later);
  for (const at of new Set([...soon, ...life.rejected, states.length - 1])) {
    const share = random.below(3) / 2;
    const cut = states[at];
    if (cut === undefined) continue;
    const state = restarted(powerCut(cut, () => random.chance(share)));
    failedWrites.cuts += 1;
    try {
      await reopened(state, life, acknowledgedBefore(life, at));
    } catch (error) {
      // Until it is told so, a session that will be rejected may be there.
      if (!(await isThere(state, life, at))) {
        throw new Error(`cut at ${at}: ${error}`, { cause: error });
      }
    }
  }
}

/**
 * Whether the store is as if sessions that waited for an answer had been accepted in one batch: any of
 * a few, since a large value may still be on its way, or those that had asked by some moment, or one of
 * them, which was tried alone. Before them it may have made batches of its own.
 */
async function isThere(state: DiskState, life: Life, at: number): Promise<boolean> {
  const waiting = life.inFlightAt(at);
  const tried: Work[][] =
    waiting.length <= fewSessions
      ? subsetsOf(waiting)
      : [
          [],
          ...waiting.map((_, last) => waiting.slice(0, last + 1)),
          ...waiting.slice(1).map((work) => [work]),
        ];
  const floor = acknowledgedBefore(life, at);
  for (const works of tried) {
    const next = new Life(new SimulatedDisk({ state }), life.settings, life.expected.upTo(floor));
    await next.open();
    const last = next.store.currentBatch - (works.length > 0 ? 1 : 0);
    while (next.expected.current.batch < last) next.expected.addOwn();
    await next.decide(works);
    try {
      await compareStore(next.store, next.expected.current);
      return true;
    } catch {
      // Others may be there.
    }
  }
  return false;
}

/** All subsets, each in order. */
function subsetsOf(works: readonly Work[]): Work[][] {
  const subsets: Work[][] = [[]];
  for (const work of works) subsets.push(...subsets.map((one) => [...one, work]));
  return subsets;
}

/** Runs the history with faults; the store goes on afterwards, and is what it should be. */
async function fail(
  history: History,
  number: number,
  faultOf: (operation: DiskOperation) => Fault | undefined,
): Promise<void> {
  const disk = new SimulatedDisk({ seed: number, faultOf });
  const life = new Life(disk, history.settings);
  const poisoned = await runWithFaults(life, history);
  failedWrites.faults += 1;
  failedWrites.rejections += life.rejections.length;
  await cutAfter(life, number);
  disk.faultOf = () => undefined;
  if (poisoned) {
    const next = await succeed(disk.state, life, number);
    await commitMore(next);
    await compareStore(next.store, next.expected.current);
    return;
  }
  if (!life.isOpen) await life.open();
  await commitMore(life);
  await compareStore(life.store, life.expected.current);
  await life.reopen();
  const { clean, replayedBatches, healed } = life.store.recovery;
  if (!clean || replayedBatches > 0 || healed.length > 0)
    throw new Error('it was closed unsettled');
  await compareStore(life.store, life.expected.current);
}

/** Which operations fail, where the one with that number does. */
export type Failing = (number: number) => (operation: DiskOperation) => boolean;

export const once: Failing =
  (number) =>
  ({ number: at }) =>
    at === number;
export const twice: Failing =
  (number) =>
  ({ number: at }) =>
    at === number || at === number + 1;

/** What takes a record back is zeros. So the record is refused however often it is tried again. */
export const allButZeros: Failing = (number) => {
  let left = 8;
  return ({ number: at, kind, first }) => {
    const isZero = first?.every((byte) => byte === 0) === true;
    if (at < number || left === 0 || (at > number && (kind !== 'write' || isZero))) return false;
    left -= 1;
    return true;
  };
};

/** Tries one of `stride` operations. */
export async function failEveryWrite(
  history: History,
  stride: number,
  failing: Failing,
): Promise<void> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  const faults: Fault[] = [
    { kind: 'error', code: 'ENOSPC' },
    { kind: 'error', code: 'EIO' },
  ];
  for (const { number, kind } of life.disk.operations) {
    const aside = life.aside.has(number) && number > 0;
    if (aside || kind === 'datasync' || number % stride !== 0) continue;
    const fault = faults[number % 2] as Fault;
    try {
      const fails = failing(number);
      await fail(history, number, (operation) => (fails(operation) ? fault : undefined));
    } catch (error) {
      const place = `${kind}, operation ${number} of '${history.name}', fails`;
      throw new Error(`${place}: ${error}`, { cause: error });
    }
  }
}
