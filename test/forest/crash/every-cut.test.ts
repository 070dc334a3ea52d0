/**
 * Every cut of a forest's life: each history is run once, its power is cut before every operation
 * of the disk, with many fates of what was not synced; each time the forest is opened again.
 *
 * It is the state that some group of transactions left, whole over all trees, the last that was
 * acknowledged or the one after it; `verify` finds nothing; the next commit archives what nobody
 * refers to, also what a transaction under way had pushed; and it goes on through another cut.
 * VARVE_CRASH_SCALE multiplies the fates and the made-up histories.
 */

import { afterAll, describe, expect, it } from 'vitest';
import type { Vault } from '../../../src/forest/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { type DiskState, powerCut, restarted } from '../../support/disks/disk-state.ts';
import type { FateBounds } from '../../support/disks/fates.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { movedBytes } from '../../support/fixtures/moved-bytes.ts';
import { cutEverywhere } from '../../support/lives/cuts.ts';
import { journals } from '../../support/oracles/forest-model.ts';
import { Random } from '../../support/random.ts';
import {
  compactedHistory,
  forestHistories,
  furtherWork,
  randomForestHistory,
} from './crash-histories.ts';
import { ForestLife } from './crash-life.ts';
import type { ForestHistory, ForestStep } from './crash-steps.ts';

const bounds: FateBounds = { singles: crashScale, randoms: crashScale };
const counts = { cuts: 0, beyond: 0 };

/** What a cut at this operation may leave: the last acknowledged group, or the one after it. */
function allowedAt({ acknowledged }: ForestLife, operation: number): readonly number[] {
  const ends = new Map([[-1, 0]]);
  let floor = -1;
  for (const told of acknowledged) {
    ends.set(told.batch, told.index);
    if (told.operation <= operation) floor = told.batch;
  }
  const batches = [...ends.keys()];
  const at = batches.indexOf(floor);
  return batches.slice(at, at + 2).map((batch) => ends.get(batch) as number);
}

async function reopened(disk: SimulatedDisk, before: ForestLife): Promise<ForestLife> {
  const life = new ForestLife(disk, before);
  await life.open();
  return life;
}

async function survives(state: DiskState, life: ForestLife, at: number): Promise<void> {
  const next = await reopened(new SimulatedDisk({ state, records: false }), life);
  const allowed = allowedAt(life, at);
  expect(allowed).toContain(next.mark);
  if (next.mark !== allowed[0]) counts.beyond += 1;
  next.compare(next.mark);
  expect(await findingsOf(next.forest)).toEqual([]);
  for (const step of furtherWork) await next.step(step);
  next.compare(next.count);
  await expectNoLeak(next.forest, next.blobCount);
  const after = restarted(powerCut(next.disk.state, () => false));
  const last = await reopened(new SimulatedDisk({ state: after, records: false }), next);
  last.compare(next.count);
  expect(await findingsOf(last.forest)).toEqual([]);
  await last.close();
}

/** Cuts everywhere, and tries one of `stride` fates; the number of cuts. */
async function cut(
  steps: readonly ForestStep[],
  stride: number,
  {
    journalBytes,
    vault,
    compacts = false,
  }: { journalBytes?: number | undefined; vault?: Vault; compacts?: boolean },
): Promise<number> {
  const life = new ForestLife(new SimulatedDisk());
  life.journalBytes = journalBytes;
  life.vault = vault;
  life.compacts = compacts;
  await life.run(steps);
  await life.close();
  const tried = await cutEverywhere(life, { bounds, stride, name: 'a forest' }, (state, at) =>
    survives(state, life, at),
  );
  counts.cuts += tried;
  return tried;
}

/** What is sealed is read back through the vault, values of the user's own by their ids. */
const sealedHistories = forestHistories.filter(({ name }) =>
  /^values of the user's own|under way that|^uploads/.test(name),
);

/** Histories that take long to look through: not every fate of each is tried. */
const strides = new Map([['so many nodes dropped that a commit of its own frees them', 6]]);
const stride = 2;
const seeds = Array.from({ length: 4 * crashScale }, (_, at) => at + 1);

describe.each(journals)('a power cut, with journalBytes %s', (journalBytes) => {
  it.each(forestHistories.map((history): [string, ForestHistory] => [history.name, history]))(
    '%s',
    async (name, { steps }) => {
      const one = Math.ceil((stride * (strides.get(name) ?? 1)) / crashScale);
      expect(await cut(steps, one, { journalBytes })).toBeGreaterThan(4);
    },
  );

  it.each(seeds)('seed %i', async (seed) => {
    const steps = randomForestHistory(new Random(seed), 8);
    const one = Math.ceil(5 / crashScale);
    expect(await cut(steps, one, { journalBytes })).toBeGreaterThan(10);
  });

  afterAll(() => {
    const { cuts, beyond } = counts;
    console.log(`power cuts tried: ${cuts}; ${beyond} kept a commit that nobody was told of`);
  });
});

describe('a power cut of a store with automatic compaction', () => {
  const moved = movedBytes();

  it.each(forestHistories.map((history): [string, ForestHistory] => [history.name, history]))(
    '%s',
    async (name, { steps }) => {
      const one = Math.ceil((4 * stride * (strides.get(name) ?? 1)) / crashScale);
      expect(await cut(steps, one, { journalBytes: 0, compacts: true })).toBeGreaterThan(2);
    },
  );

  it.each(seeds.slice(0, 2))(
    'while it moves what is left of large trees, seed %i',
    async (seed) => {
      const before = moved();
      const journalBytes = journals[seed % journals.length];
      const one = Math.ceil(40 / crashScale);
      expect(
        await cut(compactedHistory(seed), one, { journalBytes, compacts: true }),
      ).toBeGreaterThan(10);
      expect(moved()).toBeGreaterThan(before);
    },
  );
});

describe('a power cut in a vault', () => {
  it.each(sealedHistories)('$name', async ({ steps }) => {
    const vault = aesGcm({ key: new Uint8Array(32).fill(4) });
    expect(await cut(steps, stride * 4, { vault })).toBeGreaterThan(4);
  });
});
