/**
 * Trees of a forest: snapshots, forks, ranges and summaries, by what they cost and keep.
 *
 * Invariant: costs are counted in nodes read and values pushed, which do not depend on the
 * machine. Contents under random changes are in `model.test.ts`.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type ForestOptions, reducers } from '../../src/forest/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { expectSameBytes } from '../support/bytes.ts';
import { endSound, findingsOf } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };
const summed = { ...numbers, reducer: reducers.sum((_key: number, value: number) => value) };
const released = expect.objectContaining({ code: 'VARVE_SNAPSHOT_RELEASED' });

/** A forest on a disk in memory, with a tree of `count` entries. */
async function filled(
  count: number,
  options: typeof numbers | typeof summed = numbers,
  settings: ForestOptions = {},
) {
  const fileSystem = memoryFileSystem();
  const forest = await Forest.open('a.varve', { fileSystem, nodeBytes: 1000, ...settings });
  const tree = forest.tree('t', options as typeof numbers);
  await forest.transaction((tx) => {
    const writing = tx.tree(tree);
    for (let key = 0; key < count; key++) writing.put(key, key);
  });
  const reopen = async (): Promise<typeof forest> => {
    await forest.close();
    return await Forest.open('a.varve', { fileSystem, nodeBytes: 1000 });
  };
  return { forest, tree, reopen };
}

describe('a snapshot', () => {
  it('stays as it was, and is refused once released', async () => {
    const { forest, tree } = await filled(2000);
    const snapshot = forest.snapshot();
    expect(snapshot.batch).toBe(forest.store.currentBatch);
    const then = snapshot.tree(tree);
    const reading = then.range();
    reading.next();
    await forest.transaction((tx) => tx.tree(tree).deleteRange({}));
    for (let round = 0; round < 30; round++) await tree.put(round, 0);
    expect(then.count()).toBe(2000);
    expect([...then.keys({ gte: 1990 })].length).toBe(10);
    expect(await then.getAsync(1999)).toBe(1999);
    expect(tree.count()).toBe(30);
    expect(forest.store.statistics().oldestGuard).toBe(snapshot.batch);
    snapshot.release();
    snapshot.release();
    expect(() => snapshot.tree(tree)).toThrow(released as Error);
    expect(() => then.get(1)).toThrow(released as Error);
    expect(() => reading.next()).toThrow(released as Error);
    reading.return?.();
    expect(forest.store.statistics().oldestGuard).toBe(undefined);
    await endSound(forest);
  });

  it('gives its space back by itself, within later commits and at close', async () => {
    const { forest, tree } = await filled(5000, numbers, { journalBytes: 0 });
    const snapshot = forest.snapshot();
    for (let round = 0; round < 60; round++) await tree.put(round * 83, 0);
    const held = forest.store.statistics().archivedValues;
    expect(held).toBeGreaterThan(100);
    snapshot.release();
    for (let round = 0; round < 12; round++) await tree.put(1, round);
    expect(forest.store.statistics().archivedValues).toBeLessThan(20);
    await endSound(forest);
  });

  it('that is held keeps closing from freeing, and closing releases it', async () => {
    const { forest, tree, reopen } = await filled(500);
    forest.snapshot();
    await tree.put(1, 2);
    const again = await reopen();
    expect(again.tree('t', numbers).get(1)).toBe(2);
    await endSound(again);
  });
});

describe('an iterator', () => {
  it('keeps the state at its creation while every node of it is replaced', async () => {
    const { forest, tree } = await filled(5000);
    const snapshot = forest.snapshot();
    const running = [tree.range(), snapshot.tree(tree).range(), tree.range({ reverse: true })];
    const firsts = running.map((iterator) => iterator.next().value);
    snapshot.release();
    for (let round = 1; round <= 5; round++) {
      await forest.transaction((tx) => {
        for (let key = 0; key < 5000; key += 3) tx.tree(tree).put(key, key + round);
      });
    }
    const [up, of, down] = running as [
      (typeof running)[0],
      (typeof running)[0],
      (typeof running)[0],
    ];
    expect(() => of.next()).toThrow(released as Error);
    const entries = Array.from({ length: 5000 }, (_, key) => [key, key]);
    expect([firsts[0], ...up]).toEqual(entries);
    expect([firsts[2], ...down]).toEqual(entries.reverse());
    await endSound(forest);
  });
});

describe('a fork', () => {
  it('costs the same for ten entries and for a hundred thousand', async () => {
    const pushed: number[] = [];
    for (const count of [10, 100_000]) {
      const { forest, reopen } = await filled(count);
      expect(forest.names()).toEqual(['t']);
      const again = await reopen();
      await again.transaction((tx) => tx.fork('t', 'fork'));
      let values = 0;
      for await (const { changes } of again.store.commitLog()) {
        values = changes.filter(({ operation }) => operation === 'allocate').length;
      }
      pushed.push(values);
      expect(again.statistics().nodesRead).toBeLessThan(3);
      expect(again.tree('fork', numbers).count()).toBe(count);
      await endSound(again);
    }
    expect(pushed[0]).toBe(pushed[1]);
  });

  it('shares nodes until they change, and drops exactly the nodes that no tree shares', async () => {
    const { forest, tree } = await filled(20_000);
    const live = (): number => {
      const { values, archivedValues } = forest.store.statistics();
      return values - archivedValues;
    };
    const alone = live();
    await forest.transaction((tx) => tx.fork('t', 'fork'));
    // The shares have a node now.
    expect(live()).toBe(alone + 1);
    const fork = forest.tree('fork', numbers);
    await fork.put(7, 0);
    expect([tree.get(7), fork.get(7)]).toEqual([7, 0]);
    expect(live()).toBeLessThan(alone + 10);
    expect(await findingsOf(forest)).toEqual([]);
    await forest.transaction((tx) => tx.drop('t'));
    expect(fork.count()).toBe(20_000);
    expect(live()).toBe(alone);
    await forest.transaction((tx) => tx.drop('fork'));
    await endSound(forest);
  });

  it('of a missing tree leaves it missing; onto one that exists it is refused', async () => {
    const { forest } = await filled(10);
    await forest.transaction((tx) => tx.fork('nothing', 'other'));
    expect(forest.names()).toEqual(['t']);
    const onto = forest.transaction((tx) => tx.fork('nothing', 't'));
    await expect(onto).rejects.toEqual(expect.objectContaining({ code: 'VARVE_EXISTS' }));
    await endSound(forest);
  });
});

describe('counting and summing', () => {
  it('a range reads a node or two of each level', async () => {
    const { reopen } = await filled(100_000, summed);
    const forest = await reopen();
    const tree = forest.tree('t', summed);
    expect(tree.get(5)).toBe(5);
    const { nodesRead } = forest.statistics();
    expect(tree.count({ gte: 20_011, lt: 80_011 })).toBe(60_000);
    expect(forest.statistics().nodesRead - nodesRead).toBeLessThan(10);
    expect(tree.reduce({ gte: 20_011, lt: 80_011 })).toBe((60_000 * (20_011 + 80_010)) / 2);
    expect(tree.reduce()).toBe((100_000 * 99_999) / 2);
    expect(tree.reduce({ lt: 0 })).toBe(0);
    expect(forest.statistics().nodesRead - nodesRead).toBeLessThan(12);
    await endSound(forest);
  });

  it('uses the reducer of the tree: count, min, max or histogram', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 1000 });
    const of = (_key: number, value: number): number => value;
    const kinds = {
      count: reducers.count(),
      min: reducers.min(of),
      max: reducers.max(of),
      histogram: reducers.histogram(of, [10, 20]),
    };
    const found: Record<string, unknown> = {};
    for (const [name, reducer] of Object.entries(kinds)) {
      const tree = forest.tree<number, number, unknown>(name, { ...numbers, reducer });
      expect([tree.reduce()]).toEqual([reducer.reduce([])]);
      await forest.transaction((tx) => {
        for (let key = 0; key < 3000; key++) tx.tree(tree).put(key, key % 40);
      });
      found[name] = tree.reduce({ gte: 40, lt: 80 });
    }
    expect(found).toEqual({ count: 40, min: 0, max: 39, histogram: [10, 10, 20] });
    await endSound(forest);
  });

  it('is refused if there is no reducer', async () => {
    const { forest, tree } = await filled(1);
    expect(() => tree.reduce()).toThrow(
      expect.objectContaining({ code: 'VARVE_TREE_MISMATCH' }) as Error,
    );
    await endSound(forest);
  });
});

describe('deleting a range', () => {
  it('reads no leaves within it, nor those of a tree that is dropped', async () => {
    const { reopen } = await filled(100_000);
    let forest = await reopen();
    let tree = forest.tree('t', numbers);
    const leaves = 100_000 / 62;
    const gone = await forest.transaction((tx) =>
      tx.tree(tree).deleteRange({ gte: 5, lt: 99_995 }),
    );
    expect(gone).toBe(99_990);
    expect(forest.statistics().nodesRead).toBeLessThan(leaves / 10);
    expect([...tree.keys()]).toEqual([0, 1, 2, 3, 4, 99_995, 99_996, 99_997, 99_998, 99_999]);
    await endSound(forest);
    const dropped = await filled(100_000);
    forest = await dropped.reopen();
    tree = forest.tree('t', numbers);
    await forest.transaction((tx) => tx.drop('t'));
    expect(forest.statistics().nodesRead).toBeLessThan(leaves / 10);
    expect(tree.count()).toBe(0);
    await endSound(forest);
  });

  it('removes entries up to its limit, from the given end', async () => {
    const { forest, tree } = await filled(100);
    await forest.transaction((tx) => {
      expect(tx.tree(tree).deleteRange({ gte: 50, limit: 10 })).toBe(10);
      expect(tx.tree(tree).deleteRange({ reverse: true, limit: 5 })).toBe(5);
    });
    expect(tree.count()).toBe(85);
    expect([tree.has(59), tree.has(60), tree.has(94), tree.has(95)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
    await endSound(forest);
  });
});

describe('nodes', () => {
  it('of sorted puts are full, whichever way they are sorted', async () => {
    for (const step of [1, -1]) {
      const forest = await Forest.inMemory({ nodeBytes: 1000 });
      const tree = forest.tree('t', numbers);
      await forest.transaction((tx) => {
        for (let at = 0; at < 10_000; at++) tx.tree(tree).put(50_000 + at * step, at);
      });
      const { valueBytes } = forest.store.statistics();
      // 16 bytes an entry, and a little for heads and branches.
      expect(valueBytes / 10_000).toBeLessThan(18.5);
      await endSound(forest);
    }
  });

  it('have no lengths if all keys and values have one length', async () => {
    const bytes: number[] = [];
    const perEntry = async (put: (forest: Forest) => Promise<void>): Promise<void> => {
      const forest = await Forest.inMemory();
      await put(forest);
      bytes.push(forest.store.statistics().valueBytes / 5000);
      await endSound(forest);
    };
    await perEntry(async (forest) => {
      const tree = forest.tree('t', numbers);
      await forest.transaction((tx) => {
        for (let at = 0; at < 5000; at++) tx.tree(tree).put(at, at);
      });
    });
    await perEntry(async (forest) => {
      const tree = forest.tree('t');
      const { encode } = codecs.uint;
      await forest.transaction((tx) => {
        for (let at = 0; at < 5000; at++) tx.tree(tree).put(encode(at), encode(at));
      });
    });
    expect(bytes[0]).toBeLessThan(16.3);
    expect(bytes[1]).toBeGreaterThan(18);
  });

  it('do not hold long values, which are read by themselves and shared by forks', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', { key: codecs.uint, value: codecs.bytes });
    const none = new Uint8Array(0);
    const long = new Uint8Array(8 * 1024 * 1024).fill(3);
    await tree.put(1, long);
    await tree.put(2, new Uint8Array(10));
    const { valueBytes } = forest.store.statistics();
    await tree.put(2, new Uint8Array(11));
    expect(forest.store.statistics().valueBytes - valueBytes).toBeLessThan(5000);
    expectSameBytes(tree.get(1) ?? none, long);
    expectSameBytes((await tree.getAsync(1)) ?? none, long);
    await forest.transaction((tx) => {
      tx.fork('t', 'u');
      tx.tree(tree).delete(1);
    });
    const fork = forest.tree('u', { key: codecs.uint, value: codecs.bytes });
    expect(fork.get(1)?.length).toBe(long.length);
    await fork.put(2, new Uint8Array(1));
    await fork.delete(1);
    await endSound(forest);
  });
});

describe('a forest on a store', () => {
  it('leaves the store open when it is closed, and is the only one until then', async () => {
    const store = await Store.inMemory();
    const forest = await Forest.on(store);
    await forest.tree('t', numbers).put(1, 1);
    await expect(Forest.on(store)).rejects.toEqual(expect.objectContaining({ code: 'VARVE_BUSY' }));
    await forest.close();
    const { id } = await store.put(new Uint8Array(3));
    const again = await Forest.on(store);
    expect(again.tree('t', numbers).get(1)).toBe(1);
    await again.tree('t', numbers).put(2, 2);
    expect(again.store.get(id)?.length).toBe(3);
    expect(await findingsOf(again)).toEqual([]);
    await again.close();
    await store.close();
  });

  it('reports each commit that changed a tree', async () => {
    const { forest, tree } = await filled(1);
    const told: unknown[] = [];
    const stop = forest.onCommit((commit) => told.push(commit));
    const batch = await tree.put(5, 5);
    await forest.transaction((tx) => tx.push(new Uint8Array(3)));
    stop();
    await tree.put(6, 6);
    expect(told).toEqual([{ batch, trees: ['t'] }]);
    await forest.close();
  });

  it('holds a state only while it is read', async () => {
    const { forest, tree } = await filled(3000);
    for (const _ of tree.range()) break;
    for (const _ of tree.range({ limit: 3 }));
    for await (const _ of tree.rangeAsync({ limit: 3 }));
    await tree.getAsync(1);
    expect(forest.store.statistics().oldestGuard).toBe(undefined);
    const held = tree.range();
    held.next();
    expect(forest.store.statistics().oldestGuard).toBe(forest.store.currentBatch);
    held.return?.();
    await endSound(forest);
  });
});
