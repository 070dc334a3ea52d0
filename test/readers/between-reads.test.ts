/**
 * A reader beside a writer that commits, settles, frees, reuses and gives maps back between any two
 * of the reader's reads: whatever the reader gives is of its batch, or it says that it is gone.
 */

import { describe, expect, it } from 'vitest';
import { Random } from '../support/random.ts';
import { operations, ReaderTrial } from './reader-trial.ts';

/** Reads of one operation before which the writer is made to commit, one after the other. */
const readsTried = 14;

describe('beside a writer that commits before the k-th read', () => {
  it.each(operations)(
    '%s returns the content of its batch, or VARVE_SNAPSHOT_GONE',
    async (operation) => {
      let reads = readsTried;
      for (let read = 0; read < Math.min(reads, readsTried); read++) {
        for (const commits of [2, 30]) {
          const trial = await ReaderTrial.begin({ seed: 100 * read + commits });
          reads = Math.max(reads, await trial.run(operation, { read, commits }));
          await trial.run('get');
          await trial.run('a view');
          await trial.end();
        }
      }
      expect(reads).toBeLessThan(2000);
    },
  );

  it.each(operations)(
    '%s never throws VARVE_SNAPSHOT_GONE while the writer frees nothing',
    async (operation) => {
      for (let read = 0; read < readsTried; read += 4) {
        for (const commits of [1, 40]) {
          const trial = await ReaderTrial.begin({ seed: 100 * read + commits, frees: false });
          await trial.run(operation, { read, commits });
          await trial.run('get');
          if (!operation.startsWith('verify')) expect(trial.gone).toBe(0);
          await trial.end();
        }
      }
    },
  );
});

describe('a long life of a reader beside a writer', () => {
  it.each([1, 2, 3, 4, 5, 6])('is right in every answer: seed %i', async (seed) => {
    const random = new Random(seed);
    const trial = await ReaderTrial.begin({
      seed: 5000 + seed,
      cacheBytes: seed % 2 === 0 ? 0 : 1024 * 1024,
      settleBytes: seed % 3 === 0 ? 100_000 : 2048,
    });
    for (let step = 0; step < 60; step++) {
      const operation = operations[random.below(operations.length)] ?? 'get';
      if (random.chance(0.3)) trial.history.commits(random.below(random.chance(0.1) ? 60 : 4));
      if (random.chance(0.02)) await trial.history.reopen();
      await trial.run(operation, { read: random.below(6), commits: random.below(5) });
    }
    expect(trial.right).toBeGreaterThan(100);
    await trial.end();
  });
});
