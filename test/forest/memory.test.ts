/**
 * The memory of a forest and its store: blocks, marks and nodes share one budget, and keep it
 * whatever is loaded and read.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type Snapshot, type Tree } from '../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { Random } from '../support/random.ts';

const mebibyte = 1024 ** 2;
const entries = 30_000;
const value = new Uint8Array(100).fill(7);

function keyOf(number: number): string {
  return `key ${String(number).padStart(8, '0')}`;
}

/** Looks at the memory that counts, and keeps the most. */
class Watch {
  readonly #store: Store;
  most = 0;
  looks = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  look(): void {
    const { usedBytes, blockBytes, markBytes, nodeBytes } = this.#store.memory.statistics();
    if (blockBytes + markBytes + nodeBytes !== usedBytes) throw new Error('the sum is wrong');
    this.most = Math.max(this.most, usedBytes);
    this.looks += 1;
  }
}

type Entries = Tree<string, Uint8Array, undefined>;

function treeOf(forest: Forest): Entries {
  return forest.tree('entries', { key: codecs.utf8, value: codecs.bytes });
}

/** `order`: the numbers of the entries, as they are put. */
async function load(forest: Forest, watch: Watch, order: (at: number) => number): Promise<void> {
  const tree = treeOf(forest);
  for (let from = 0; from < entries; from += 200) {
    await forest.transaction((tx) => {
      const writing = tx.tree(tree);
      for (let at = from; at < from + 200; at++) writing.put(keyOf(order(at)), value);
      watch.look();
    });
    watch.look();
  }
}

function readAll(forest: Forest, watch: Watch): void {
  const tree = treeOf(forest);
  for (let at = 0; at < entries; at++) {
    const found = tree.get(keyOf((at * 104_729) % entries));
    if (found?.length !== value.length) throw new Error(`entry ${at} is missing`);
    watch.look();
  }
}

const sorted = (at: number): number => at;
const scattered = (at: number): number => (at * 7919) % entries;

describe.each([4, 5.5])('a forest with a budget of %d MiB', (mebibytes) => {
  it.each([
    ['in order', sorted],
    ['in any order', scattered],
  ])('stays within a tenth of it, loaded %s, read and opened again', async (_, order) => {
    const fileSystem = memoryFileSystem();
    const budgetBytes = mebibytes * mebibyte;
    const options = { fileSystem, cacheBytes: budgetBytes };
    let forest = await Forest.open('forest', options);
    let watch = new Watch(forest.store);
    await load(forest, watch, order);
    readAll(forest, watch);
    expect(watch.looks).toBe(entries + entries / 100);
    expect(watch.most).toBeGreaterThan(budgetBytes * 0.9);
    expect(watch.most).toBeLessThan(budgetBytes * 1.1);
    await forest.close();
    forest = await Forest.open('forest', options);
    watch = new Watch(forest.store);
    for (let round = 0; round < 2; round++) readAll(forest, watch);
    expect(watch.most).toBeGreaterThan(budgetBytes * 0.9);
    expect(watch.most).toBeLessThan(budgetBytes * 1.1);
    const { memory, cachedBytes } = forest.statistics();
    expect(memory).toEqual(forest.store.statistics().memory);
    expect(memory.budgetBytes).toBe(budgetBytes);
    // Nodes are used more often than the blocks that they are read from.
    expect(cachedBytes).toBeGreaterThan(memory.blockBytes);
    expect(memory.blockBytes).toBeGreaterThan(0);
    await forest.close();
  });
});

describe('a forest and values beside it', () => {
  const budgetBytes = 6 * mebibyte;

  async function filled(): Promise<{ forest: Forest; ids: GrainId[] }> {
    const forest = await Forest.open('forest', {
      fileSystem: memoryFileSystem(),
      cacheBytes: budgetBytes,
    });
    await load(forest, new Watch(forest.store), sorted);
    const ids: GrainId[] = [];
    for (let from = 0; from < 8000; from += 1000) {
      const session = forest.store.session();
      for (let at = 0; at < 1000; at++) ids.push(session.push(new Uint8Array(1000).fill(at)));
      await session.commit();
    }
    return { forest, ids };
  }

  it('let go what is not read any more, whichever of them it is', async () => {
    const { forest, ids } = await filled();
    const watch = new Watch(forest.store);
    for (let turn = 0; turn < 2; turn++) {
      for (let round = 0; round < 3; round++) {
        for (const id of ids) forest.store.get(id);
      }
      watch.look();
      const ofValues = forest.statistics();
      expect(ofValues.memory.blockBytes).toBeGreaterThan(budgetBytes * 0.6);
      for (let round = 0; round < 3; round++) readAll(forest, watch);
      const ofNodes = forest.statistics();
      expect(ofNodes.cachedBytes).toBeGreaterThan(budgetBytes * 0.4);
    }
    expect(watch.most).toBeLessThan(budgetBytes * 1.1);
    await forest.close();
  });

  it('neither starves the other: what is read often stays', async () => {
    const { forest, ids } = await filled();
    const tree = treeOf(forest);
    const random = new Random(7);
    // A megabyte of values, a part of the tree, and a scan of all of the other.
    const often = ids.slice(0, 800);
    const part = 3000;
    const use = (): void => {
      for (let at = 0; at < 40; at++) {
        forest.store.get(often[random.below(often.length)] as GrainId);
        tree.get(keyOf(random.below(part)));
      }
    };
    for (let at = 0; at < 400; at++) use();
    const { nodesRead } = forest.statistics();
    const before = forest.store.statistics().bytesWritten;
    for (const id of ids) {
      use();
      forest.store.get(id);
    }
    // Nodes of that part are some two hundred; all were in memory, and nearly all of them stay.
    expect(forest.statistics().nodesRead - nodesRead).toBeLessThan(50);
    expect(forest.store.statistics().bytesWritten).toBe(before);
    await forest.close();
  });
});

describe('a reader beside a writer', () => {
  it('shares its budget among all of its states, those of snapshots too', async () => {
    const fileSystem = memoryFileSystem();
    // With a journal each of the states would have its nodes, which cannot be evicted.
    const writer = await Forest.open('forest', { fileSystem, journalBytes: 0 });
    const budgetBytes = 4 * mebibyte;
    const options = { fileSystem, readOnly: true, cacheBytes: budgetBytes };
    await load(writer, new Watch(writer.store), sorted);
    const reader = await Forest.open('forest', options);
    const watch = new Watch(reader.store);
    const snapshots: Snapshot[] = [];
    for (let round = 0; round < 4; round++) {
      await treeOf(writer).put(keyOf(round), new Uint8Array(100));
      await reader.refresh();
      snapshots.push(reader.snapshot());
      readAll(reader, watch);
    }
    expect(watch.most).toBeGreaterThan(budgetBytes * 0.9);
    expect(watch.most).toBeLessThan(budgetBytes * 1.1);
    for (const snapshot of snapshots) snapshot.release();
    await reader.close();
    await writer.close();
  });
});

describe('a forest that is closed', () => {
  it('leaves its memory to the store and to later forests, also while its handle is kept', async () => {
    const store = await Store.inMemory({ cacheBytes: 4 * mebibyte });
    const kept: Forest[] = [];
    for (let round = 0; round < 3; round++) {
      const forest = await Forest.on(store);
      await load(forest, new Watch(store), scattered);
      expect(store.memory.statistics().nodeBytes).toBeGreaterThan(mebibyte);
      await forest.close();
      kept.push(forest);
      expect(store.memory.statistics().nodeBytes).toBe(0);
    }
    expect(kept.map(({ store: one }) => one)).toEqual([store, store, store]);
    await store.close();
  });
});

describe('the figures of the memory', () => {
  it('are whole bytes after each commit, also of a journal that counts by means', async () => {
    const forest = await Forest.inMemory();
    await load(forest, new Watch(forest.store), sorted);
    for (let at = 0; at < 40; at++) {
      await forest.transaction((tx) => {
        const writing = tx.tree(treeOf(forest));
        for (let one = 0; one < 3; one++) writing.put(keyOf(at * 700 + one * 97), value);
      });
      const { memory } = forest.statistics();
      expect(Object.values(memory).every(Number.isSafeInteger)).toBe(true);
    }
    await forest.close();
  });
});

describe('a reader that moves on again and again', () => {
  const budgetBytes = 8 * mebibyte;

  async function pair(): Promise<{ writer: Forest; reader: Forest }> {
    const fileSystem = memoryFileSystem();
    const writer = await Forest.open('forest', { fileSystem });
    await load(writer, new Watch(writer.store), sorted);
    for (let at = 0; at < 100; at++) await treeOf(writer).put(keyOf(at * 300), value);
    const options = { fileSystem, readOnly: true, cacheBytes: budgetBytes };
    return { writer, reader: await Forest.open('forest', options) };
  }

  it('does not count the states that it has left, whose journals cannot be evicted', async () => {
    const { writer, reader } = await pair();
    const watch = new Watch(reader.store);
    for (let round = 0; round < 30; round++) {
      await treeOf(writer).put(keyOf(round), value);
      await reader.refresh();
      expect(treeOf(reader).get(keyOf(round))).toEqual(value);
      watch.look();
    }
    expect(reader.statistics().journalBytes).toBeGreaterThan(0);
    expect(watch.most).toBeLessThan(budgetBytes);
    await reader.close();
    await writer.close();
  });

  it('counts a state that a snapshot holds until that is released', async () => {
    const { writer, reader } = await pair();
    const snapshot = reader.snapshot();
    const nodeBytes = (): number => reader.statistics().memory.nodeBytes;
    const one = nodeBytes();
    await treeOf(writer).put(keyOf(1), value.slice(1));
    await reader.refresh();
    expect(nodeBytes()).toBeGreaterThan(one * 1.5);
    expect(snapshot.tree(treeOf(reader)).get(keyOf(1))).toEqual(value);
    snapshot.release();
    expect(nodeBytes()).toBeLessThan(one * 1.2);
    await reader.close();
    await writer.close();
  });
});

describe('nodeCacheBytes', () => {
  it('is the part of cacheBytes that nodes may take, and no more than that', async () => {
    for (const [nodeCacheBytes, most] of [
      [mebibyte, mebibyte],
      [64 * mebibyte, 8 * mebibyte],
      [undefined, 8 * mebibyte],
    ] as const) {
      // Without a journal: its nodes would count too.
      const options = { cacheBytes: 8 * mebibyte, nodeCacheBytes, journalBytes: 0 };
      const forest = await Forest.inMemory(options);
      const watch = new Watch(forest.store);
      await load(forest, watch, sorted);
      for (let round = 0; round < 2; round++) readAll(forest, watch);
      const { cachedBytes, memory } = forest.statistics();
      expect(cachedBytes).toBeLessThanOrEqual(most);
      expect(cachedBytes).toBeGreaterThan(Math.min(most, 5 * mebibyte) * 0.7);
      expect(memory.usedBytes).toBeLessThan(8.8 * mebibyte);
      await forest.close();
    }
  });
});
