/**
 * Whole stores against a plain model: random histories with many settles, checkpoints, guards and
 * reopenings, at the end of which everything is compared and verified.
 */

import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { StoreOptions } from '../../src/index.ts';
import { type Command, command, StoreModel } from './store-model.ts';

async function check(options: StoreOptions, commands: readonly Command[]): Promise<void> {
  const model = new StoreModel(options);
  await model.open();
  for (const one of commands) await model.run(one);
  await model.compareAll();
  await model.run({ kind: 'reopen' });
  await model.compareAll();
  await model.store.close();
}

describe('a store says the same as a plain model', () => {
  it.each([
    ['settling at every commit', { settleBytes: 1 }],
    ['settling now and then', { settleBytes: 4096 }],
    ['hardly ever settling, without a cache', { cacheBytes: 0 }],
    ['with a cache of a few blocks', { settleBytes: 20_000, cacheBytes: 32 * 4096 }],
  ] as const)('%s', async (_, options) => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 40 }), (commands) =>
        check(options, commands),
      ),
      { numRuns: 25 },
    );
  });

  it('over a long history', async () => {
    const history = fc.array(command, { minLength: 300, maxLength: 300, size: 'max' });
    await fc.assert(
      fc.asyncProperty(history, (commands) => check({ settleBytes: 2048 }, commands)),
      { numRuns: 2, endOnFailure: true },
    );
  });
});
