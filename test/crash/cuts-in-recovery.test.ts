/**
 * Cuts in recovery, and minds that do not change: the power is cut in a history, then again at
 * every operation of the recovery, and every later opening decides about the last batch as the
 * first did. Then the sessions that were taken back are tried again, with the same bytes, and cut
 * at every operation: what was taken back does not return, which the clock in its log entry tells.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { crashScale, ticking } from '../support/crash-scale.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { type Fate, type FateBounds, fatesOf } from '../support/disks/fates.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { type History, histories, randomHistory } from '../support/lives/histories.ts';
import { Life } from '../support/lives/life.ts';
import { acknowledgedBefore, reopened, survives } from '../support/lives/trial.ts';
import type { Work } from '../support/oracles/expected-content.ts';

const outer: FateBounds = { singles: crashScale, randoms: crashScale };
const inner: FateBounds = { singles: 0, randoms: crashScale };
let cuts = 0;

/** The fates of every cut of a life that is over, from one operation on. */
function* cutsOf(
  disk: SimulatedDisk,
  bounds: FateBounds,
  from = 0,
): Generator<{ at: number; state: DiskState; fate: Fate }> {
  const states = [...disk.before, disk.state];
  for (const [at, state] of states.entries()) {
    if (at < from) continue;
    const last = states[at - 1];
    const known = at > from && last?.durable === state.durable ? last.unsynced.length : 0;
    for (const fate of fatesOf(state, known, bounds, at)) yield { at, state, fate };
  }
}

/** The same sessions once more, the same bytes in the same order. */
async function tryAgain(life: Life, works: readonly Work[]): Promise<void> {
  const commits: Promise<unknown>[] = [];
  for (const work of works) {
    const draft = life.draft();
    const again = new Map<bigint, bigint>();
    for (const change of work.operations) {
      if (change.operation === 'archive') draft.archive(change.id);
      else again.set(change.id, draft.pushBytes(change.bytes));
    }
    if (work.checkpointTo !== undefined) draft.checkpointTo(work.checkpointTo);
    const { header } = work;
    if (typeof header === 'bigint') draft.setHeader((again.get(header) ?? header) as typeof header);
    else if (header === null) draft.setHeader(null);
    commits.push(draft.commit());
  }
  await Promise.all(commits);
}

/** Recovers with a cut at each operation, then tries the sessions again with a cut at each. */
async function cutAgain(state: DiskState, witness: Life, floor: number): Promise<void> {
  const recorded = new SimulatedDisk({ state });
  const first = await reopened(state, witness, floor, recorded);
  const decided = first.expected.current.batch;
  for (const { state: during, fate } of cutsOf(recorded, inner)) {
    cuts += 1;
    const again = await reopened(restarted(powerCut(during, fate.keeps)), witness, floor);
    expect(again.expected.current.batch).toBe(decided);
  }
  const works = witness.expected.worksOf(floor + 1);
  if (decided > floor || works.length === 0) return;
  const from = recorded.operations.length;
  await tryAgain(first, works);
  for (const { at, state: during, fate } of cutsOf(recorded, inner, from)) {
    cuts += 1;
    const told = acknowledgedBefore(first, at);
    await survives(restarted(powerCut(during, fate.keeps)), first, Math.max(floor, told));
  }
}

async function cutTwice(history: History, stride: number): Promise<void> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  let number = 0;
  for (const { at, state, fate } of cutsOf(life.disk, outer)) {
    number += 1;
    if (life.aside.has(at) || number % stride !== 0) continue;
    try {
      await cutAgain(restarted(powerCut(state, fate.keeps)), life, acknowledgedBefore(life, at));
    } catch (error) {
      const place = `first cut before operation ${at} of '${history.name}'`;
      throw new Error(`${place}, ${fate.name}: ${error}`, { cause: error });
    }
  }
}

const strides = new Map([
  ['one commit', 1],
  ['group commit', 7],
  ['archive, checkpoint, reuse', 11],
  ['embedded header', 9],
  ['roll-over of the commit log', 13],
  ['large values', 9],
  ['records with a body of their own', 29],
  ['map dropped and its place used again', 29],
  ['close and reopen', 11],
]);

describe('a power cut in a recovery from a power cut', () => {
  ticking(vi);

  it.each([...strides])('%s', async (name, stride) => {
    const history = histories.find((one) => one.name === name) as History;
    await cutTwice(history, Math.ceil(stride / crashScale));
  });

  it.each(Array.from({ length: 2 * crashScale }, (_, at) => at + 101))('seed %i', async (seed) => {
    await cutTwice(randomHistory(seed, 12), Math.ceil(43 / crashScale));
  });

  afterAll(() => {
    console.log(`power cuts tried in and after recoveries: ${cuts}`);
  });
});
