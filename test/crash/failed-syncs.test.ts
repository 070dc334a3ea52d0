/**
 * Failed syncs and kills that keep the page cache: every datasync of a history fails once, in both
 * ways that kernels have, and a process is killed at every operation; the store is opened again
 * without a reboot, goes on committing, and only then the power goes.
 *
 * Nothing may be written after a failed sync, on close either; what was acknowledged before and
 * since is there, and what the opening decided about the last batch stays.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import {
  firstSegmentPage,
  pageBytes,
  sectorBytes,
  segmentPagesMin,
} from '../../src/format/layout.ts';
import { crashScale, ticking } from '../support/crash-scale.ts';
import { type DiskState, powerCut, restarted, type Unsynced } from '../support/disks/disk-state.ts';
import { type FateBounds, fatesOf } from '../support/disks/fates.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { type History, histories, randomHistory } from '../support/lives/histories.ts';
import { Life } from '../support/lives/life.ts';
import {
  acknowledgedBefore,
  commitMore,
  reopened,
  runWithFaults,
  succeed,
  survives,
} from '../support/lives/trial.ts';
import { Random } from '../support/random.ts';

const bounds: FateBounds = { singles: 1, randoms: 1 };
const counts = { syncs: 0, kills: 0, cuts: 0 };

/** Cuts the power at some operations of a life since it was opened, and after the last. */
async function cutSome(life: Life, opened: number, seed: number): Promise<void> {
  const random = new Random(seed);
  const { before, state } = life.disk;
  const states = [...before, state];
  const last = states.length - 1;
  const chosen = new Set([opened, last, ...[0, 1].map(() => opened + random.below(last - opened))]);
  for (const at of chosen) {
    const share = random.below(3) / 2;
    const image = powerCut(states[at] as DiskState, () => random.chance(share));
    await reopened(restarted(image), life, acknowledgedBefore(life, at));
    counts.cuts += 1;
  }
}

/** Cuts the power during the opening of `next`, which saw what a failed sync had left. */
async function cutRecovery(next: Life, life: Life): Promise<void> {
  for (const [at, state] of next.disk.before.entries()) {
    for (const fate of fatesOf(state, Math.max(1, state.unsynced.length - 1), bounds, at)) {
      await succeed(restarted(powerCut(state, fate.keeps)), life);
      counts.cuts += 1;
    }
  }
}

async function failSync(
  history: History,
  number: number,
  cache: 'dropped' | 'kept',
): Promise<void> {
  const disk = new SimulatedDisk({
    seed: number,
    faultOf: (operation) => (operation.number === number ? { kind: 'sync', cache } : undefined),
  });
  const life = new Life(disk, history.settings);
  const poisoned = await runWithFaults(life, history);
  // Streams write at other times in each run: this operation may be another one now.
  if (disk.operations[number]?.kind !== 'datasync') return;
  counts.syncs += 1;
  if (!poisoned) {
    // It was a sync of an opening, which was repeated.
    expect(life.rejections).toEqual(['VARVE_IO']);
    await cutSome(life, number + 1, number);
    return;
  }
  expect(new Set(life.rejections)).toEqual(new Set(['VARVE_POISONED']));
  await life.abandonStore();
  // A write of a large value may begin in the turn in which the store hears of the failure. Nothing
  // names the grains that it goes to.
  const late = disk.operations.slice(disk.begunAtFailure);
  expect(late.length).toBeLessThanOrEqual(1);
  for (const { kind, position } of late) {
    expect(kind).toBe('write');
    expect(position).toBeGreaterThanOrEqual((firstSegmentPage + segmentPagesMin) * pageBytes);
  }
  const next = await succeed(disk.state, life, number);
  const opened = next.disk.operations.length;
  await cutRecovery(next, life);
  for (let batch = 0; batch < 3; batch++) await commitMore(next);
  await cutSome(next, opened, number);
}

async function failEverySync(history: History, stride: number): Promise<void> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  let at = 0;
  for (const { number, kind } of life.disk.operations) {
    if (kind !== 'datasync') continue;
    at += 1;
    if ((life.aside.has(number) && number > 0) || at % stride !== 0) continue;
    for (const cache of ['dropped', 'kept'] as const) {
      try {
        await failSync(history, number, cache);
      } catch (error) {
        const place = `datasync, operation ${number} of '${history.name}', fails`;
        throw new Error(`${place}, cache ${cache}: ${error}`, { cause: error });
      }
    }
  }
}

/** The state in the middle of an operation: a write has done some of its sectors. */
function halfDone(before: DiskState, after: DiskState, random: Random): DiskState {
  const change = after.unsynced[before.unsynced.length];
  if (after.durable !== before.durable || change === undefined || 'length' in change) return before;
  const sectors = random.below(change.bytes.length / sectorBytes + 1);
  const bytes = change.bytes.subarray(0, sectors * sectorBytes);
  const part: Unsynced[] = sectors === 0 ? [] : [{ ...change, bytes }];
  return { ...before, unsynced: [...before.unsynced, ...part] };
}

async function killEverywhere(history: History, stride: number): Promise<void> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  const states = [...life.disk.before, life.disk.state];
  for (const [at, before] of states.entries()) {
    if (life.aside.has(at) || at % stride !== 0) continue;
    const floor = acknowledgedBefore(life, at);
    const state = halfDone(before, states[at + 1] ?? before, new Random(at));
    counts.kills += 1;
    try {
      await survives(state, life, floor);
      const recorded = new SimulatedDisk({ state });
      const opened = await reopened(state, life, floor, recorded);
      const killedAgain = recorded.before[at % recorded.before.length] as DiskState;
      await survives(killedAgain, life, floor);
      await commitMore(opened);
    } catch (error) {
      const place = `killed at operation ${at} of '${history.name}'`;
      throw new Error(`${place}: ${error}`, { cause: error });
    }
  }
}

const cheap = 3;
const strides = new Map([
  ['roll-over of the commit log', 5],
  ['settle in chunks', 11],
  ['map dropped and its place used again', 2],
  ['close and reopen', 2],
  ['new stratum, map and basin', 4],
]);

function strideOf(name: string, times: number): number {
  return Math.max(1, Math.ceil(((strides.get(name) ?? 1) * times) / crashScale));
}

const named = histories.map((history) => [history.name, history] as const);
const seeds = Array.from({ length: 2 * crashScale }, (_, at) => at + 201);

describe('a datasync that fails, and an opening without a reboot', () => {
  ticking(vi);

  it.each(named)('%s', async (name, history) => {
    await failEverySync(history, strideOf(name, 1));
  });

  it.each(seeds)('seed %i', async (seed) => {
    await failEverySync(randomHistory(seed, 16), strideOf('', cheap));
  });
});

describe('a process that is killed, and an opening without a reboot', () => {
  ticking(vi);

  it.each(named)('%s', async (name, history) => {
    await killEverywhere(history, strideOf(name, cheap));
  });

  it.each(seeds)('seed %i', async (seed) => {
    await killEverywhere(randomHistory(seed, 16), strideOf('', cheap));
  });
});

afterAll(() => {
  const { syncs, kills, cuts } = counts;
  console.log(`failed syncs: ${syncs}, kills: ${kills}, power cuts after them: ${cuts}`);
});
