/**
 * A store that filled its disk and is opened again: it does not know yet that the disk is full. It
 * finds out by a write that is refused, and deletes and checkpoints all the same; then the disk can
 * be filled again, over any number of openings.
 */

import { describe, expect, it } from 'vitest';
import type { Capacity } from '../support/disks/small-disk.ts';
import type { Random } from '../support/random.ts';
import { type FullDiskLife, type FullDiskSettings, filledLife, refill } from './full-disk.ts';

const rounds = 3;

type Deleting = (life: FullDiskLife) => Promise<void>;

/** Deletes everything, so many values a commit; no checkpoint comes in between. */
function inCommitsOf(count: number, order: 'any' | 'oldest first'): Deleting {
  return async (life) => {
    const ids = order === 'any' ? life.pick(life.live.size) : [...life.live.keys()];
    for (let at = 0; at < ids.length; at += count) {
      await life.remove(ids.slice(at, at + count), 'none');
    }
  };
}

async function emptyAndRefill(settings: FullDiskSettings, deleteAll: Deleting): Promise<void> {
  const { life, bytes } = await filledLife(settings);
  for (let round = 0; round < rounds; round++) {
    await life.reopen();
    await deleteAll(life);
    await life.reopen();
    await life.store.checkpointTo(life.store.currentBatch);
    expect(life.store.statistics().archivedValues).toBe(0);
    await life.check();
    await refill(life, bytes * 0.9);
    await life.reopen();
  }
  await life.check(true);
  await life.close();
}

const kinds: readonly Capacity[] = ['length', 'sparse'];
const whole = Number.POSITIVE_INFINITY;

describe.each(kinds)('a store opened again on a full disk (%s counts):', (kind) => {
  // Some 24,000 values of 30 bytes, 13,000 of 100, 1,700 of 1,000.
  it.each([
    [30, 50, 'any'],
    [30, 1000, 'oldest first'],
    [100, 1000, 'any'],
    [100, 50, 'oldest first'],
    [1000, 1000, 'any'],
    [1000, 1000, 'oldest first'],
  ] as const)(
    'all values of %d bytes are deleted by one commit and freed by one checkpoint (%d, %s)',
    async (length, some, order) => {
      const step = Math.ceil((some * 100) / length);
      const settings = { seed: 21, kind, pages: 500, step, lengthOf: () => length };
      await emptyAndRefill(settings, inCommitsOf(whole, order));
    },
  );

  it('thousands of values a commit are deleted, and all are freed by one checkpoint', async () => {
    const settings = { seed: 22, kind, pages: 500, step: 1000, lengthOf: () => 100 };
    await emptyAndRefill(settings, inCommitsOf(2000, 'any'));
  });

  it('values of many lengths are deleted by one commit and freed by one checkpoint', async () => {
    const lengthOf = (random: Random): number => 30 + random.below(400);
    const settings = { seed: 23, kind, pages: 500, step: 100, lengthOf };
    await emptyAndRefill(settings, inCommitsOf(whole, 'any'));
  });
});
