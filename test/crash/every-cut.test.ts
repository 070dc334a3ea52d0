/**
 * Every cut: each history is run once, its power is cut before every write, truncate and datasync,
 * with many fates of what was not synced; each time the store is reopened and held against what it
 * should have.
 *
 * VARVE_CRASH_SCALE multiplies the number of fates and of made-up histories.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { crashScale, ticking } from '../support/crash-scale.ts';
import type { FateBounds } from '../support/disks/fates.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { movedBytes } from '../support/fixtures/moved-bytes.ts';
import { automaticCompactions, randomCompacted } from '../support/lives/automatic-histories.ts';
import { cutEverywhere } from '../support/lives/cuts.ts';
import { type History, histories, randomHistory } from '../support/lives/histories.ts';
import { Life } from '../support/lives/life.ts';
import { acknowledgedBefore, survives } from '../support/lives/trial.ts';

const bounds: FateBounds = { singles: 2 * crashScale, randoms: 2 * crashScale };
let cuts = 0;

/** Cuts everywhere, and tries one of `stride` fates; the number of cuts. */
async function cut(history: History, stride: number): Promise<number> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  const tried = await cutEverywhere(life, { bounds, stride, name: history.name }, (state, at) =>
    survives(state, life, acknowledgedBefore(life, at)),
  );
  cuts += tried;
  return tried;
}

/** Histories whose stores take long to look through: not every fate of each is tried. */
const strides = new Map([
  ['settle in chunks', 12],
  ['roll-over of the commit log', 2],
  ['file growth', 2],
  ['new stratum, map and basin', 2],
]);
const randomStride = 6;

describe('a power cut at any operation, with any fate of the unsynced writes', () => {
  ticking(vi);

  it.each(histories.map((history) => [history.name, history] as const))(
    '%s',
    async (_, history) => {
      const stride = Math.ceil((strides.get(history.name) ?? 1) / crashScale);
      expect(await cut(history, stride)).toBeGreaterThan(4);
    },
  );

  it.each(Array.from({ length: 4 * crashScale }, (_, at) => at + 1))('seed %i', async (seed) => {
    const stride = Math.ceil(randomStride / crashScale);
    expect(await cut(randomHistory(seed), stride)).toBeGreaterThan(20);
  });

  const moved = movedBytes();

  it.each(automaticCompactions.map((history) => [history.name, history] as const))(
    '%s',
    async (_, history) => {
      const before = moved();
      expect(await cut(history, Math.ceil(8 / crashScale))).toBeGreaterThan(20);
      expect(moved()).toBeGreaterThan(before);
    },
  );

  it.each(Array.from({ length: 3 * crashScale }, (_, at) => at + 1))(
    'seed %i, with automatic compaction',
    async (seed) => {
      expect(
        await cut(randomCompacted(seed, 60), Math.ceil(randomStride / crashScale)),
      ).toBeGreaterThan(20);
    },
  );

  afterAll(() => {
    console.log(`power cuts tried: ${cuts}`);
  });
});
