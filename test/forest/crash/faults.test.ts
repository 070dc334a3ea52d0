/**
 * A disk that refuses while a forest lives: each write, truncate, datasync and read of a history
 * fails once, as EIO or ENOSPC; a failed datasync poisons, with the page cache dropped or kept.
 *
 * Transactions that are refused are not there, all of them or none; reads give the durable state,
 * after each step of the history; where the store is not poisoned later transactions work and
 * nothing is left over; after reopening the forest is sound, and what was acknowledged is there.
 * VARVE_CRASH_SCALE: more of the faults, and more made-up histories.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { crashScale } from '../../support/crash-scale.ts';
import type { DiskState } from '../../support/disks/disk-state.ts';
import {
  type DiskOperation,
  type DiskRead,
  type Fault,
  type ReadFault,
  SimulatedDisk,
} from '../../support/disks/simulated-disk.ts';
import { expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { movedBytes } from '../../support/fixtures/moved-bytes.ts';
import { Random } from '../../support/random.ts';
import {
  compactedHistory,
  forestHistories,
  furtherWork,
  randomForestHistory,
} from './crash-histories.ts';
import { ForestLife } from './crash-life.ts';
import type { ForestHistory, ForestStep } from './crash-steps.ts';

const refusals = ['VARVE_IO', 'VARVE_POISONED'] as const;
const counts = { writes: 0, syncs: 0, reads: 0, refused: 0, poisoned: 0 };

interface Faults {
  readonly faultOf?: (operation: DiskOperation) => Fault | undefined;
  readonly readFaultOf?: (read: DiskRead) => ReadFault | undefined;
  /** The store has automatic compaction. */
  readonly compacts?: boolean;
}

/** It is in that state, sound, and goes on. */
async function expectSoundAndGoingOn(life: ForestLife): Promise<void> {
  life.compare(life.mark);
  expect(await findingsOf(life.forest)).toEqual([]);
  for (const step of furtherWork) await life.step(step);
  life.compare(life.count);
  await expectNoLeak(life.forest, life.blobCount);
}

/** The disk as a poisoned forest left it, without a reboot. */
async function expectGoodHeir(state: DiskState, life: ForestLife): Promise<void> {
  const heir = new ForestLife(new SimulatedDisk({ state, records: false }), life);
  await heir.open();
  // A commit whose own sync failed is there or not; nothing that never began one is.
  expect([life.lastAcknowledged, ...life.refused.map(({ index }) => index)]).toContain(heir.mark);
  await expectSoundAndGoingOn(heir);
  await heir.close();
}

/** Runs the history while the disk refuses once, and what follows; whether anyone heard of it. */
async function runWithFault(
  steps: readonly ForestStep[],
  seed: number,
  { compacts = false, ...faults }: Faults,
): Promise<boolean> {
  const disk = new SimulatedDisk({ seed, records: false, ...faults });
  const life = new ForestLife(disk);
  life.compacts = compacts;
  life.tolerates = refusals;
  await life.run(steps);
  counts.refused += life.refused.length;
  const heard = life.refused.length > 0;
  if (life.poisoned) {
    counts.poisoned += 1;
    life.compare(life.lastAcknowledged);
    for (const step of furtherWork) await life.step(step);
    life.compare(life.lastAcknowledged);
    await life.close();
    await expectGoodHeir(disk.state, life);
    return heard;
  }
  await life.open();
  life.compare(life.lastAcknowledged);
  disk.faultOf = undefined;
  disk.readFaultOf = undefined;
  life.tolerates = [];
  await life.step({ step: 'release' });
  await expectSoundAndGoingOn(life);
  await life.step({ step: 'reopen' });
  life.compare(life.count);
  expect(await findingsOf(life.forest)).toEqual([]);
  await expectNoLeak(life.forest, life.blobCount);
  await life.close();
  return heard;
}

function faultsFor({ kind, number }: DiskOperation): readonly Fault[] {
  const code = number % 2 === 0 ? 'EIO' : 'ENOSPC';
  if (kind !== 'datasync') return [{ kind: 'error', code }];
  return [{ kind: 'sync', cache: number % 4 < 2 ? 'dropped' : 'kept', code }];
}

async function failEverywhere(
  steps: readonly ForestStep[],
  stride: number,
  compacts = false,
): Promise<number> {
  const life = new ForestLife(new SimulatedDisk({ records: false }));
  life.compacts = compacts;
  await life.run(steps);
  await life.close();
  let heard = 0;
  for (const operation of life.disk.operations) {
    const { number, kind } = operation;
    if (number % stride !== 0) continue;
    for (const fault of faultsFor(operation)) {
      counts[kind === 'datasync' ? 'syncs' : 'writes'] += 1;
      const faultOf = (at: DiskOperation) => (at.number === number ? fault : undefined);
      try {
        heard += (await runWithFault(steps, number, { faultOf, compacts })) ? 1 : 0;
      } catch (error) {
        throw new Error(`${kind}, operation ${number}, fails: ${error}`, { cause: error });
      }
    }
  }
  return heard;
}

async function failEveryRead(steps: readonly ForestStep[], stride: number): Promise<void> {
  const life = new ForestLife(new SimulatedDisk({ records: false }));
  // It looks at everything as often as it will where reads fail.
  life.tolerates = refusals;
  await life.run(steps);
  await life.close();
  for (let number = 0; number < life.disk.reads; number += stride) {
    counts.reads += 1;
    const fault: ReadFault = { kind: 'error', code: 'EIO' };
    const readFaultOf = (read: DiskRead) => (read.number === number ? fault : undefined);
    try {
      await runWithFault(steps, number, { readFaultOf });
    } catch (error) {
      throw new Error(`read ${number} fails: ${error}`, { cause: error });
    }
  }
}

const strides = new Map([['so many nodes dropped that a commit of its own frees them', 3]]);
const named = forestHistories.map((history): [string, ForestHistory] => [history.name, history]);
const seeds = Array.from({ length: 3 * crashScale }, (_, at) => at + 501);

describe('each write, truncate and datasync of a history fails once', () => {
  it.each(named)('%s', async (name, { steps }) => {
    const stride = Math.ceil((strides.get(name) ?? 1) / crashScale);
    expect(await failEverywhere(steps, stride)).toBeGreaterThan(2);
  });

  it.each(seeds)('seed %i', async (seed) => {
    const steps = randomForestHistory(new Random(seed), 8);
    expect(await failEverywhere(steps, Math.ceil(2 / crashScale))).toBeGreaterThan(0);
  });
});

describe('each write, truncate and datasync of a store with automatic compaction fails once', () => {
  const moved = movedBytes();

  it.each(seeds.slice(0, 2))('seed %i', async (seed) => {
    const steps = compactedHistory(seed);
    expect(await failEverywhere(steps, Math.ceil(29 / crashScale), true)).toBeGreaterThan(0);
    expect(moved()).toBeGreaterThan(0);
  });
});

describe('each read of a history fails once', () => {
  it.each(named)('%s', async (name, { steps }) => {
    await failEveryRead(steps, Math.ceil((strides.get(name) ?? 2) / crashScale));
  });
});

afterAll(() => {
  const { writes, syncs, reads, refused, poisoned } = counts;
  console.log(
    `failed: ${writes} writes and truncates, ${syncs} datasyncs, ${reads} reads; ` +
      `${refused} transactions refused, ${poisoned} stores poisoned`,
  );
});
