/**
 * Settles with much to move, cut at every operation: settles that take several commits, while batches
 * change what has been written already, documents that move because they have outgrown their places,
 * maps that come and go. (The histories of test/crash settle with one commit, and move no document.)
 *
 * What was acknowledged is there after each cut, and a session that was not is there whole or not at
 * all.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { Settle } from '../../../src/store/settle/settle.ts';
import { crashScale, ticking } from '../../support/crash-scale.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { cutEverywhere } from '../../support/lives/cuts.ts';
import type { History } from '../../support/lives/histories.ts';
import { Life } from '../../support/lives/life.ts';
import { acknowledgedBefore, reopened } from '../../support/lives/trial.ts';
import { documentsThatMove, placesThatChange, settleOverCommits } from './settle-histories.ts';

const bounds = { singles: 1, randoms: 1 };
let cuts = 0;

async function cut(history: History, stride: number): Promise<void> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  cuts += await cutEverywhere(life, { bounds, stride, name: history.name }, (state, at) =>
    reopened(state, life, acknowledgedBefore(life, at)),
  );
}

describe('no durable batch is lost by a power cut', () => {
  ticking(vi);

  it('in a settle that takes several commits', async () => {
    const taken = vi.spyOn(Settle.prototype, 'take');
    await settleOverCommits.run(new Life(new SimulatedDisk(), settleOverCommits.settings));
    const sizes = taken.mock.results.map(({ value }) => (value as readonly unknown[]).length);
    taken.mockRestore();
    // As many as may ride on one commit, so there were more.
    expect(Math.max(...sizes)).toBe(64);
    await cut(settleOverCommits, Math.ceil(8 / crashScale));
  });

  it('while a document that has outgrown its place moves', async () => {
    await cut(documentsThatMove, Math.ceil(3 / crashScale));
  });

  it('while maps are given back and their places are used again', async () => {
    await cut(placesThatChange, Math.ceil(6 / crashScale));
  });

  afterAll(() => {
    console.log(`power cuts tried in large settles: ${cuts}`);
  });
});
