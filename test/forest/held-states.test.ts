/**
 * States that somebody holds: snapshots and iterators stay as they were taken, whatever later
 * transactions push, withdraw, replace and free.
 *
 * The rule: an older state never depends on an id that it did not store, so a node that a commit
 * pushes and withdraws again is in memory only once more.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest } from '../../src/forest/index.ts';
import { endSound } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.u32, value: codecs.u32 };

/** A forest with few free grains, so that freed ones are used again at once. */
async function filled(fill: number): Promise<Forest> {
  const forest = await Forest.inMemory({ nodeBytes: 512 });
  const a = forest.tree('a', numbers);
  await forest.transaction((tx) => {
    for (let i = 0; i < 50; i++) tx.tree(a).put(i, i);
  });
  const session = forest.store.session();
  for (let i = 0; i < fill; i++) session.push(new Uint8Array(400));
  await session.commit();
  // A small change: its node waits in memory.
  await a.put(0, 1000);
  return forest;
}

describe('a node that waits in memory, is pushed for a fork and withdrawn in the same commit', () => {
  const reuse = async (forest: Forest): Promise<void> => {
    const other = forest.tree('other', numbers);
    await forest.transaction((tx) => {
      for (let i = 0; i < 50; i++) tx.tree(other).put(i, 900_000 + i);
      tx.fork('other', 'g');
    });
  };

  it.each([150, 151, 152, 153, 154, 155])(
    'keeps the content that snapshots and iterators read (%i)',
    async (fill) => {
      const forest = await filled(fill);
      const a = forest.tree('a', numbers);
      const expected = [...a.range()];
      const snapshot = forest.snapshot();
      const forward = a.range();
      const backward = a.range({ reverse: true });
      await Promise.all([
        forest.transaction((tx) => {
          tx.fork('a', 'f');
          tx.tree(a).put(5, 77);
        }),
        forest.transaction((tx) => tx.drop('f')),
      ]);
      await reuse(forest);
      expect([...snapshot.tree(a).range()]).toEqual(expected);
      expect([...forward]).toEqual(expected);
      expect([...backward]).toEqual(expected.toReversed());
      snapshot.release();
      await forest.store.close();
    },
  );

  it('keeps its content after the commit has failed', async () => {
    const forest = await filled(150);
    const a = forest.tree('a', numbers);
    const expected = [...a.range()];
    const failing = forest.transaction(async (tx) => {
      tx.fork('a', 'f');
      await undefined;
      throw new Error('the body throws');
    });
    await expect(failing).rejects.toThrow('the body throws');
    await reuse(forest);
    expect([...a.range()]).toEqual(expected);
    await forest.store.close();
  });
});

describe('an id that a commit withdraws', () => {
  it('can name the next value, which can be archived', async () => {
    for (let fill = 0; fill < 40; fill++) {
      const forest = await Forest.inMemory();
      const bytes = new Uint8Array(2000);
      const session = forest.store.session();
      for (let i = 0; i < fill; i++) session.push(bytes);
      await session.commit();
      const ids: { first?: bigint; second?: bigint } = {};
      const archived = (name: 'first' | 'second') => {
        const pushed = forest.transaction((tx) => {
          ids[name] = tx.push(bytes);
        });
        return [pushed, forest.transaction((tx) => tx.archive(ids[name] as never))];
      };
      const early = archived('first');
      // That commit is in flight now, and the id is free already.
      for (let turn = 0; turn < 3; turn++) await undefined;
      await Promise.all([...early, ...archived('second')]);
      expect(ids.second).toBe(ids.first);
      await forest.close();
    }
  });
});

describe('a read in a long transaction', () => {
  it('makes later changes copy nodes only while it runs', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 512 });
    const tree = forest.tree('t', numbers);
    await forest.transaction((tx) => {
      for (let i = 0; i < 500; i++) tx.tree(tree).put(i, i);
    });
    await forest.transaction((tx) => {
      const own = tx.tree(tree);
      own.put(0, 1);
      const held = own.range();
      expect(held.next().value).toEqual([0, 1]);
      for (let i = 0; i < 50; i++) {
        own.put(i, i + 1000);
        expect(own.first()).toEqual([0, 1000]);
        expect([...own.keys({ gte: i, limit: 1 })]).toEqual([i]);
      }
      expect([...held]).toEqual(Array.from({ length: 499 }, (_, i) => [i + 1, i + 1]));
    });
    expect(tree.count()).toBe(500);
    await endSound(forest);
  });
});
