/**
 * Codecs and reducers that commit while a read calls them: the read gives the state of its start.
 *
 * Invariant: each commit replaces every node and value that the read reaches and frees them, with no
 * room in the caches, so that a read which holds nothing finds something else in their place.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type ReadableTree } from '../../../src/forest/index.ts';
import { code, endSound } from '../../support/fixtures/forest-checks.ts';

const count = 200;

/** A forest whose codecs and reducer call `interrupt`, once, at the call that is asked for. */
async function home(valueBytes: number) {
  const forest = await Forest.inMemory({
    nodeBytes: 500,
    nodeCacheBytes: 0,
    cacheBytes: 0,
    journalBytes: 0,
  });
  let callsLeft = -1;
  let interrupted = 0;
  let interrupt = (): void => undefined;
  const called = (): void => {
    callsLeft -= 1;
    if (callsLeft !== 0) return;
    interrupted += 1;
    interrupt();
  };
  const number = codecs.uint;
  const key = {
    name: 'key',
    ordered: true as const,
    encode: (value: number) => number.encode(value),
    decode(bytes: Uint8Array) {
      called();
      return number.decode(bytes);
    },
  };
  const value = {
    name: 'value',
    encode(one: number) {
      const bytes = new Uint8Array(valueBytes);
      bytes.set(number.encode(one));
      return bytes;
    },
    decode(bytes: Uint8Array) {
      called();
      return number.decode(bytes.slice(0, 8));
    },
  };
  const reducer = {
    name: 'sum',
    map(_key: number, one: number) {
      called();
      return one;
    },
    reduce(parts: readonly number[]) {
      called();
      return parts.reduce((sum, part) => sum + part, 0);
    },
    encode: (sum: number) => number.encode(sum),
    decode(bytes: Uint8Array) {
      called();
      return number.decode(bytes);
    },
  };
  const tree = forest.tree('t', { key, value, reducer, versioned: true });
  let round = 0;
  /** Replaces all entries, and frees what they were. */
  const replace = (): void => {
    round += 1;
    for (let again = 0; again < 3; again++) {
      forest.transactionSync((tx) => {
        for (let at = 0; at < count; at++) tx.tree(tree).put(at, round);
        tx.tree(tree).deleteRange({ gte: count + (round % 2) });
        tx.tree(tree).trimHistory(Math.max(0, tree.lastSequence - 2));
      });
    }
  };
  replace();
  return {
    forest,
    tree,
    replace,
    /** Runs a read in which `commit` is called at the call `at`; whether it came to that. */
    async read(run: () => unknown, at: number, commit: () => void): Promise<unknown> {
      interrupt = commit;
      callsLeft = at;
      try {
        return await run();
      } finally {
        callsLeft = -1;
      }
    },
    round: () => round,
    interrupted: () => interrupted,
  };
}

type Numbers = ReadableTree<number, number, number>;

async function gathered(entries: AsyncIterable<[number, number]>): Promise<[number, number][]> {
  const all: [number, number][] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

const reads: readonly (readonly [string, (tree: Numbers) => unknown])[] = [
  ['get', (tree) => tree.get(7)],
  ['getAsync', (tree) => tree.getAsync(7)],
  ['has', (tree) => tree.has(7)],
  ['first', (tree) => tree.first()],
  ['last', (tree) => tree.last()],
  ['range', (tree) => [...tree.range({ gte: 3, limit: 40 })]],
  ['range in reverse', (tree) => [...tree.range({ reverse: true, limit: 40 })]],
  ['rangeAsync', (tree) => gathered(tree.rangeAsync({ gte: 3, limit: 40 }))],
  ['keys', (tree) => [...tree.keys({ limit: 40 })]],
  ['values', (tree) => [...tree.values({ limit: 40 })]],
  ['count', (tree) => tree.count({ gte: 5, lt: 180 })],
  ['reduce', (tree) => tree.reduce()],
  ['reduce of a range', (tree) => tree.reduce({ gte: 5, lt: 180 })],
];
const callsAt = [1, 2, 5, 17];

describe.each([
  ['short', 8],
  ['long', 900],
])('with %s values', (_, valueBytes) => {
  it.each(reads)('%s gives the state of its start', async (_name, read) => {
    const { forest, tree, replace, round, ...at } = await home(valueBytes);
    for (const call of callsAt) {
      const expected = await read(tree);
      const found = await at.read(() => read(tree), call, replace);
      expect(found).toEqual(expected);
      const snapshot = forest.snapshot();
      const then = snapshot.tree(tree);
      const before = await read(then);
      expect(await at.read(() => read(then), call, replace)).toEqual(before);
      snapshot.release();
    }
    await endSound(forest);
  });

  it('changes gives the state of its start', async () => {
    const { forest, tree, replace, ...at } = await home(valueBytes);
    const { lastSequence } = tree;
    const expected = [...tree.changes()];
    const found = await at.read(() => [...tree.changes()], 1, replace);
    expect(found).toEqual(expected);
    expect(tree.lastSequence).toBeGreaterThan(lastSequence);
    await endSound(forest);
  });

  it('verify finds nothing', async () => {
    const { forest, replace, ...at } = await home(valueBytes);
    for (const call of callsAt) {
      const all = async (): Promise<string[]> => {
        const found: string[] = [];
        for await (const { message } of forest.verify()) found.push(message);
        return found;
      };
      expect(await at.read(all, call, replace)).toEqual([]);
    }
    expect(at.interrupted()).toBe(callsAt.length);
    await endSound(forest);
  });
});

describe('in a transaction', () => {
  it.each(reads.filter(([name]) => !/sync/.test(name)))(
    '%s gives the state of its start, though the user changes the tree meanwhile',
    async (_name, read) => {
      const { forest, tree, ...at } = await home(8);
      for (const call of callsAt) {
        const failed = forest.transaction(async (tx) => {
          const writing = tx.tree(tree);
          writing.put(8, 1);
          const expected = read(writing);
          const change = (): void => {
            for (let key = 0; key < count; key++) writing.put(key, 1000 + key);
            writing.deleteRange({ lt: 100 });
          };
          expect(await at.read(() => read(writing), call, change)).toEqual(expected);
          throw new Error('undone');
        });
        await expect(failed).rejects.toThrow('undone');
      }
      await endSound(forest);
    },
  );

  it('a commit within a read is refused with VARVE_BUSY', async () => {
    const { forest, tree, replace, ...at } = await home(8);
    const read = forest.transaction((tx) => at.read(() => tx.tree(tree).reduce(), 1, replace));
    await expect(read).rejects.toEqual(code('BUSY'));
    await endSound(forest);
  });
});
