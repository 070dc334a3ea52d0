/**
 * Writes that fail: each write, and each truncate, of a history fails once, with any part of it
 * done, as EIO or ENOSPC; or it and the next operation fail, so that a record can be neither written
 * nor taken back.
 *
 * What was rejected is never there, at a power cut in the next moments, at the end and after
 * reopening; what was acknowledged is; the store goes on working.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { Random } from '../model/random.ts';
import { type DiskState, powerCut, restarted } from '../support/disk-state.ts';
import { type Fault, SimulatedDisk } from '../support/simulated-disk.ts';
import { compareStore } from './compare-store.ts';
import { type History, histories, randomHistory } from './histories.ts';
import { Life } from './life.ts';
import { crashScale, ticking } from './scale.ts';
import { acknowledgedBefore, commitMore, reopened, runWithFaults, succeed } from './trial.ts';

const counts = { faults: 0, rejections: 0, cuts: 0 };

/** Cuts the power soon after operation `number`, and wherever a commit was rejected. */
async function cutAfter(life: Life, number: number): Promise<void> {
  const random = new Random(number);
  const { before, state } = life.disk;
  const states = [...before, state];
  const soon = [1, 2, 3, 4 + random.below(8)].map((later) => number + later);
  const told = life.rejected.map(({ operation }) => operation);
  for (const at of new Set([...soon, ...told, states.length - 1])) {
    const share = random.below(3) / 2;
    const cut = states[at];
    if (cut === undefined) continue;
    const state = restarted(powerCut(cut, () => random.chance(share)));
    counts.cuts += 1;
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

/** Whether the store is as if the sessions that were next to be rejected had been accepted. */
async function isThere(state: DiskState, life: Life, at: number): Promise<boolean> {
  const later = life.rejected.filter(({ operation }) => operation > at);
  const told = later[0]?.operation;
  const refused = later.filter(({ operation }) => operation === told).map(({ work }) => work);
  const works = refused.length > 0 ? refused : life.uncertain;
  if (works.length === 0) return false;
  const expected = life.expected.upTo(acknowledgedBefore(life, at));
  const next = new Life(new SimulatedDisk({ state }), life.settings, expected);
  await next.open();
  await next.decide(works);
  await compareStore(next.store, next.expected.current);
  return true;
}

/** Runs the history with faults; the store goes on afterwards, and is what it should be. */
async function fail(
  history: History,
  number: number,
  faultOf: (at: number) => Fault | undefined,
): Promise<void> {
  const disk = new SimulatedDisk({
    seed: number,
    faultOf: (operation) => faultOf(operation.number),
  });
  const life = new Life(disk, history.settings);
  const poisoned = await runWithFaults(life, history);
  counts.faults += 1;
  counts.rejections += life.rejections.length;
  await cutAfter(life, number);
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
  expect(life.store.recovery).toMatchObject({ clean: true, replayedBatches: 0, healed: [] });
  await compareStore(life.store, life.expected.current);
}

async function failEveryWrite(history: History, stride: number, twice: boolean): Promise<void> {
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
      await fail(history, number, (at) => {
        const fails = at === number || (twice && at === number + 1);
        return fails ? fault : undefined;
      });
    } catch (error) {
      const place = `${kind}, operation ${number} of '${history.name}', fails`;
      throw new Error(`${place}: ${error}`, { cause: error });
    }
  }
}

const strides = new Map([
  ['roll-over of the commit log', 7],
  ['settle in chunks', 31],
  ['new stratum, map and basin', 5],
  ['file growth', 2],
  ['large values', 2],
  ['map dropped and its place used again', 3],
  ['a loop of commitSync', 2],
]);

const named = histories.map((history) => [history.name, history] as const);
const seeds = Array.from({ length: 2 * crashScale }, (_, at) => at + 301);

describe.each([
  ['once', false],
  ['and so does the next operation', true],
])('a write fails, %s', (_, twice) => {
  ticking(vi);

  it.each(named)('%s', async (name, history) => {
    await failEveryWrite(history, Math.ceil((strides.get(name) ?? 1) / crashScale), twice);
  });

  it.each(seeds)('seed %i', async (seed) => {
    await failEveryWrite(randomHistory(seed, 16), Math.ceil(9 / crashScale), twice);
  });
});

afterAll(() => {
  const { faults, rejections, cuts } = counts;
  console.log(`failed writes: ${faults}, rejections: ${rejections}, cuts after them: ${cuts}`);
});
