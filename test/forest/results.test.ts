/**
 * What functions of the user's give back: promises where none may be, results whose `then` throws,
 * listeners that throw.
 *
 * Invariant: in each case nothing is stored that was not meant, later writes go on, and no
 * rejection is left unhandled.
 */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codecs, Forest } from '../../src/forest/index.ts';
import { code, endSound } from '../support/fixtures/forest-checks.ts';

const people = { key: codecs.utf8, value: codecs.json<unknown>() };

/** Rejections that nobody handles. */
const unhandled: unknown[] = [];
const note = (error: unknown): void => {
  unhandled.push(error);
};
beforeEach(() => {
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await turn();
  process.off('unhandledRejection', note);
  expect(unhandled.splice(0)).toEqual([]);
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Reading any property of it throws. */
function strictProxy(): object {
  const fail = (): never => {
    throw new Error('no such field');
  };
  return new Proxy({}, { get: fail });
}

describe('update', () => {
  it.each([
    ['a promise', async () => ({ born: 1 })],
    ['a promise that rejects', async () => await Promise.reject(new Error('late'))],
    // biome-ignore lint/suspicious/noThenProperty: it is a promise of another library
    ['a thenable', () => ({ then: (resolve: (value: number) => void) => resolve(1) })],
  ])('refuses %s and stores nothing', async (_, change) => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', people);
    await tree.put('ada', { born: 1815 });
    const { currentBatch } = forest.store;
    await expect(tree.update('ada', change)).rejects.toEqual(code('INVALID_ARGUMENT'));
    await expect(tree.update('new', change)).rejects.toEqual(code('INVALID_ARGUMENT'));
    expect(forest.store.currentBatch).toBe(currentBatch);
    expect([...tree.range()]).toEqual([['ada', { born: 1815 }]]);
    await endSound(forest);
  });

  it('rejects with the error of a result whose properties cannot be read', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', people);
    await expect(tree.update('ada', strictProxy)).rejects.toThrow('no such field');
    await tree.put('bob', 1);
    expect([...tree.range()]).toEqual([['bob', 1]]);
    await endSound(forest);
  });
});

describe('a listener of commits that throws', () => {
  it('is an uncaught exception, as in an event listener, and blocks no caller', async () => {
    const uncaught: unknown[] = [];
    process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error));
    try {
      const forest = await Forest.inMemory();
      const tree = forest.tree('t', people);
      const told: string[] = [];
      const fault = new Error('of the listener');
      forest.onCommit(() => {
        throw fault;
      });
      forest.onCommit(({ trees }) => told.push(...trees));
      expect(await tree.put('ada', 1)).toBe(1);
      forest.transactionSync((tx) => tx.tree(tree).put('bob', 2));
      await turn();
      expect(uncaught).toEqual([fault, fault]);
      expect(told).toEqual(['t', 't']);
      expect(tree.count()).toBe(2);
      await endSound(forest);
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }
  });
});
