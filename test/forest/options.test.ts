/**
 * Options of the forest: a name that is not known, a bound without a value, and a number that is
 * none are refused, and nothing is done.
 *
 * Invariant: each case would mean a default, or everything, if it were let pass.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type Range, type Tree } from '../../src/forest/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { aesGcm, compressed } from '../../src/vault/index.ts';
import { code, endSound } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };
const invalid = code('INVALID_ARGUMENT');

/** A tree of ten entries. */
async function ten() {
  const forest = await Forest.inMemory();
  const tree = forest.tree('t', { ...numbers, versioned: true });
  await forest.transaction((tx) => {
    for (let key = 0; key < 10; key++) tx.tree(tree).put(key, key);
  });
  return { forest, tree };
}

/** What is no range: each would be the whole tree if it were taken for one. */
const wrongRanges: readonly (readonly [string, unknown])[] = [
  ['a bound that is misspelt', { from: 5 }],
  ['a bound in other letters', { GTE: 5 }],
  ['a lower bound that is undefined', { gte: undefined }],
  ['an upper bound that is undefined', { lt: undefined, gte: 1 }],
  ['an exclusive bound that is undefined', { gt: undefined, lte: 4 }],
  ['two lower bounds', { gt: 1, gte: 1 }],
  ['a bound beside one that is undefined', { gt: undefined, gte: 1 }],
  ['a limit that is text', { limit: '3' }],
  ['a direction that is a number', { reverse: 1 }],
  ['an inherited name that is not known', Object.create({ from: 5 })],
  ['an inherited bound that is undefined', Object.create({ gte: undefined })],
  ['an array', []],
  ['a promise', Promise.resolve({ gte: 5 })],
  ['a map', new Map([['gte', 5]])],
  ['a number', 5],
  ['null', null],
];

describe('a range', () => {
  it.each(wrongRanges)('is refused by every read and by deleteRange: %s', async (_, wrong) => {
    const { forest, tree } = await ten();
    const range = wrong as Range<number>;
    const reads: readonly (() => unknown)[] = [
      () => tree.range(range),
      () => tree.rangeAsync(range),
      () => tree.keys(range),
      () => tree.values(range),
      () => tree.count(range),
    ];
    for (const read of reads) expect(read).toThrow(invalid);
    const deletion = forest.transaction((tx) => tx.tree(tree).deleteRange(range));
    await expect(deletion).rejects.toEqual(invalid);
    expect(tree.count()).toBe(10);
    await endSound(forest);
  });

  it('is required by deleteRange', async () => {
    const { forest, tree } = await ten();
    const all = (writable: { deleteRange(range?: Range<number>): number }) =>
      writable.deleteRange();
    const deletion = forest.transaction((tx) => all(tx.tree(tree) as never));
    await expect(deletion).rejects.toEqual(invalid);
    expect(await forest.transaction((tx) => tx.tree(tree).deleteRange({}))).toBe(10);
    await endSound(forest);
  });

  it('may be inherited, without a prototype, and have limit and reverse undefined', async () => {
    const { forest, tree } = await ten();
    const bare = Object.assign(Object.create(null), { gte: 8 }) as Range<number>;
    expect([...tree.keys(bare)]).toEqual([8, 9]);
    expect([...tree.keys(Object.create({ lt: 2 }) as Range<number>)]).toEqual([0, 1]);
    expect([...tree.keys({ gt: 7, limit: undefined, reverse: undefined })]).toEqual([8, 9]);
    await endSound(forest);
  });

  it('is read once, at the call', async () => {
    const { forest, tree } = await ten();
    let reads = 0;
    const range = {
      get gte() {
        reads += 1;
        return reads === 1 ? 8 : 0;
      },
      limit: 5,
    };
    const running = tree.rangeAsync(range);
    range.limit = 0;
    const found: number[] = [];
    for await (const [key] of running) found.push(key);
    expect([found, reads]).toEqual([[8, 9], 1]);
    await endSound(forest);
  });
});

describe('an option that is not known', () => {
  it('is refused by Forest.open, on and inMemory, and no file is touched', async () => {
    const fileSystem = memoryFileSystem();
    const open = Forest.open('a.varve', { fileSystem, readonly: true } as object);
    await expect(open).rejects.toEqual(invalid);
    await expect(open).rejects.toThrow(/'readonly'.*did you mean 'readOnly'/);
    await expect(Store.open('a.varve', { fileSystem, create: false })).rejects.toEqual(
      code('NOT_FOUND'),
    );
    await expect(Forest.inMemory({ fileSystem } as object)).rejects.toEqual(invalid);
    const store = await Store.inMemory();
    await expect(Forest.on(store, { cacheBytes: 0 } as object)).rejects.toEqual(invalid);
    await (await Forest.on(store, { nodeBytes: undefined, vault: undefined })).close();
    await store.close();
  });

  it('is refused by tree, changes, verify and the vaults', async () => {
    const { forest, tree } = await ten();
    const wrong: readonly (() => unknown)[] = [
      () => forest.tree('u', { keys: codecs.uint } as object),
      () => forest.tree('u', { reducer: null } as object),
      () => forest.tree('u', [] as object),
      () => tree.changes({ from: 3 } as object),
      () => tree.changes(null as never),
      () => forest.verify({ depth: true } as object),
      () => forest.verify({ deep: 1 } as object),
      () => forest.verify({ signal: {} } as object),
      () => aesGcm({ key: new Uint8Array(32), nonce: 1 } as never),
      () => compressed({ levels: 3 } as object),
    ];
    for (const call of wrong) expect(call).toThrow(invalid);
    expect(forest.store.statistics().oldestGuard).toBe(undefined);
    await endSound(forest);
  });
});

describe('sizes of a forest', () => {
  it.each(['nodeCacheBytes', 'journalBytes'])('%s is a whole number from 0', async (name) => {
    for (const wrong of ['7', null, -1, 0.5, Number.NaN, {}, 7n]) {
      await expect(Forest.inMemory({ [name]: wrong })).rejects.toEqual(invalid);
    }
    for (const right of [0, 7, Number.POSITIVE_INFINITY, undefined]) {
      await endSound(await Forest.inMemory({ [name]: right }));
    }
  });
});

describe('the types', () => {
  it('refuse a bound that may be undefined, and unknown options', () => {
    const compiled = (tree: Tree<number, number, undefined>, key: number | undefined): void => {
      // @ts-expect-error a bound that is present has a value
      tree.count({ gte: key });
      // @ts-expect-error no name of a range
      tree.count({ from: 1 });
      tree.count(key === undefined ? {} : { gte: key });
    };
    expect(compiled).toBeTypeOf('function');
  });
});
