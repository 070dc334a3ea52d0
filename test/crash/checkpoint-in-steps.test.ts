/**
 * A checkpoint in steps: on a full disk one that frees many values takes several batches. The power
 * goes at each of its writes and syncs; the store then has passed whole batches of deletions, has
 * everything that lives, and the checkpoint can be asked for again.
 */

import { expect, it } from 'vitest';
import type { Random } from '../support/random.ts';
import { type FullDiskLife, filledLife, refill } from './full-disk.ts';

const deletions = 4;
const deletedAtOnce = 1500;

/** A full store, thousands of its values archived by a few commits. */
async function toBeFreed(): Promise<{ readonly life: FullDiskLife; readonly bytes: number }> {
  const lengthOf = (random: Random): number => 20 + random.below(80);
  const settings = { seed: 9, kind: 'length', pages: 300, step: 200, lengthOf } as const;
  const filled = await filledLife(settings);
  for (let at = 0; at < deletions; at++) {
    await filled.life.remove(filled.life.pick(deletedAtOnce), 'none');
  }
  return filled;
}

async function checkpoint({ store }: FullDiskLife): Promise<void> {
  await store.checkpointTo(store.currentBatch);
}

it('a checkpoint in steps has passed whole batches at any power cut, and loses nothing', async () => {
  const whole = await toBeFreed();
  const before = whole.life.disk.operations.length;
  await checkpoint(whole.life);
  const operations = whole.life.disk.operations.length - before;
  await whole.life.close();
  const left = new Set<number>();
  for (let cut = 0; cut < operations; cut++) {
    const { life, bytes } = await toBeFreed();
    life.cutAfter(cut);
    await expect(checkpoint(life)).rejects.toThrow();
    expect(life.hasEnded).toBe(true);
    await life.restart();
    const { archivedValues } = life.store.statistics();
    expect(archivedValues % deletedAtOnce).toBe(0);
    left.add(archivedValues / deletedAtOnce);
    await checkpoint(life);
    expect(life.store.statistics().archivedValues).toBe(0);
    // Once in a while: it takes as long as all of the rest.
    if (cut % 7 === 0) await refill(life, bytes * 0.8);
    await life.check(true);
    await life.close();
  }
  // Each step has been seen, the last of which may still have had its settle to come.
  expect([...left].sort()).toEqual([0, 1, 2, 3, 4].filter((batches) => left.has(batches)));
  expect(left.size).toBeGreaterThan(deletions - 1);
});
