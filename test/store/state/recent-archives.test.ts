/**
 * What the last batches archived, kept in memory.
 *
 * Invariant: what it has is what was added; it never keeps more than it says. That a checkpoint
 * frees the same with it and without is held by the tests of checkpoints, on stores that were
 * reopened too.
 */

import { describe, expect, it } from 'vitest';
import { RecentArchives } from '../../../src/store/state/recent-archives.ts';

function archived(count: number) {
  const values = Array.from({ length: count }, (_, index) => {
    return { basin: 0, stratum: 0, index, count: 1, length: 20 };
  });
  return { values, logBytes: 512 };
}

describe('the archives of the last batches', () => {
  it('are kept until a checkpoint has passed them', () => {
    const recent = new RecentArchives();
    const [one, two, three] = [archived(1), archived(2), archived(0)];
    recent.add(7, one);
    recent.add(8, two);
    recent.add(9, three);
    expect([7, 8, 9].map((batch) => recent.get(batch))).toEqual([one, two, three]);
    recent.forgetUpTo(8);
    expect([7, 8, 9].map((batch) => recent.get(batch))).toEqual([undefined, undefined, three]);
  });

  it('make way for newer ones if they are many', () => {
    const recent = new RecentArchives();
    for (let batch = 1; batch <= 5; batch++) recent.add(batch, archived(5000));
    const kept = [1, 2, 3, 4, 5].filter((batch) => recent.get(batch) !== undefined);
    expect(kept).toEqual([3, 4, 5]);
  });

  it('are of the last thousand batches at most, if they archived nothing', () => {
    const recent = new RecentArchives();
    for (let batch = 1; batch <= 3000; batch++) recent.add(batch, archived(0));
    expect(recent.get(1)).toBe(undefined);
    expect(recent.get(1500)).toBe(undefined);
    expect(recent.get(3000)).toEqual(archived(0));
  });

  it('leave out a batch that alone is too much', () => {
    const recent = new RecentArchives();
    recent.add(1, archived(100_000));
    expect(recent.get(1)).toBe(undefined);
    recent.add(2, archived(10));
    expect(recent.get(2)?.values).toHaveLength(10);
  });
});
