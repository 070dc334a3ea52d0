/**
 * Sequence numbers of versioned trees, for those who follow one.
 *
 * Rule: a number of a name is never given twice, and changes that are kept no longer are never
 * skipped silently, whatever becomes of the tree.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type Tree } from '../../src/forest/index.ts';
import { memoryFileSystem } from '../../src/index.ts';
import { code, endSound, findingsOf } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };
const versioned = { ...numbers, versioned: true };
type Numbers = Tree<number, number, undefined>;

async function put(tree: Numbers, count: number): Promise<void> {
  for (let key = 0; key < count; key++) await tree.put(key, key);
}

function sequences(tree: Numbers, after?: number): number[] {
  return Array.from(tree.changes(after === undefined ? {} : { after }), (one) => one.sequence);
}

describe('changes', () => {
  it('that were trimmed are not skipped: a reader before them gets VARVE_LOG_TRUNCATED', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', versioned);
    await put(tree, 10);
    await forest.transaction((tx) => tx.tree(tree).trimHistory(6));
    for (const after of [1, 2, 5]) {
      expect(() => tree.changes({ after })).toThrow(code('LOG_TRUNCATED'));
    }
    expect(() => tree.changes({ after: 2, limit: 0 })).toThrow(code('LOG_TRUNCATED'));
    for (const after of [undefined, 0, 6]) expect(sequences(tree, after)).toEqual([7, 8, 9, 10]);
    expect(sequences(tree, 9)).toEqual([10]);
    expect(sequences(tree, 10)).toEqual([]);
    expect(() => tree.changes({ after: 11 })).toThrow(code('INVALID_ARGUMENT'));
    expect(forest.store.statistics().oldestGuard).toBe(undefined);
    await endSound(forest);
  });

  it('are empty if none are kept, or if the tree does not exist yet', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', versioned);
    expect(sequences(tree, 0)).toEqual([]);
    expect(() => tree.changes({ after: 1 })).toThrow(code('INVALID_ARGUMENT'));
    await put(tree, 3);
    await forest.transaction((tx) => tx.tree(tree).trimHistory(99));
    expect(sequences(tree)).toEqual([]);
    expect(sequences(tree, 3)).toEqual([]);
    expect(() => tree.changes({ after: 2 })).toThrow(code('LOG_TRUNCATED'));
    await put(tree, 1);
    expect(sequences(tree, 3)).toEqual([4]);
    expect(() => tree.changes({ after: 2 })).toThrow(code('LOG_TRUNCATED'));
    await endSound(forest);
  });
});

describe.each([
  ['at once', false],
  ['after reopening each time', true],
])('a tree that is dropped and made again, %s,', (_, reopens) => {
  async function home() {
    const fileSystem = memoryFileSystem();
    let forest = await Forest.open('a.varve', { fileSystem });
    const reopen = async (): Promise<void> => {
      if (!reopens) return;
      expect(await findingsOf(forest)).toEqual([]);
      await forest.close();
      forest = await Forest.open('a.varve', { fileSystem });
    };
    return {
      tree: (name: string, options = versioned): Numbers => forest.tree(name, options),
      drop: async (name: string): Promise<void> => {
        await forest.transaction((tx) => tx.drop(name));
        await reopen();
      },
      forest: () => forest,
      reopen,
    };
  }

  it('continues above its numbers; a reader before the gap gets VARVE_LOG_TRUNCATED', async () => {
    const { tree, drop, forest } = await home();
    await put(tree('t'), 5);
    await drop('t');
    expect(forest().names()).toEqual([]);
    expect(tree('t').lastSequence).toBe(5);
    expect(sequences(tree('t'), 5)).toEqual([]);
    expect(() => tree('t').changes({ after: 3 })).toThrow(code('LOG_TRUNCATED'));
    expect(() => tree('t').changes({ after: 6 })).toThrow(code('INVALID_ARGUMENT'));
    await put(tree('t'), 2);
    expect(sequences(tree('t'))).toEqual([6, 7]);
    expect(sequences(tree('t'), 5)).toEqual([6, 7]);
    expect(() => tree('t').changes({ after: 4 })).toThrow(code('LOG_TRUNCATED'));
    await drop('t');
    await drop('t');
    await put(tree('t'), 1);
    expect(sequences(tree('t'))).toEqual([8]);
    await endSound(forest());
  });

  it('continues above them also if it was not versioned in between', async () => {
    const { tree, drop, forest, reopen } = await home();
    await put(tree('t'), 5);
    await drop('t');
    await put(tree('t', { ...numbers, versioned: false }), 3);
    await reopen();
    expect(forest().names()).toEqual(['t']);
    expect(() => tree('t')).toThrow(code('TREE_MISMATCH'));
    await drop('t');
    await put(tree('t'), 1);
    expect(sequences(tree('t'))).toEqual([6]);
    await endSound(forest());
  });

  it('continues above the numbers of both if a fork to its name makes it', async () => {
    const { tree, drop, forest, reopen } = await home();
    await put(tree('short'), 2);
    await put(tree('long'), 9);
    await put(tree('t'), 5);
    for (const [from, last] of [
      ['short', 5],
      ['long', 9],
    ] as const) {
      await drop('t');
      await forest().transaction((tx) => tx.fork(from, 't'));
      await reopen();
      expect(tree('t').lastSequence).toBe(last);
      expect(sequences(tree('t'))).toEqual(sequences(tree(from)));
    }
    await put(tree('t'), 1);
    expect(tree('t').lastSequence).toBe(10);
    expect(tree('long').lastSequence).toBe(9);
    await endSound(forest());
  });
});

describe('in one transaction', () => {
  it('a tree that is dropped and made again continues above its numbers', async () => {
    const forest = await Forest.inMemory();
    const tree: Numbers = forest.tree('t', versioned);
    await put(tree, 3);
    await forest.transaction((tx) => {
      tx.drop('t');
      tx.tree(tree).put(1, 1);
    });
    expect(sequences(tree)).toEqual([4]);
    const failed = forest.transaction((tx) => {
      tx.drop('t');
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(sequences(tree)).toEqual([4]);
    await endSound(forest);
  });
});
