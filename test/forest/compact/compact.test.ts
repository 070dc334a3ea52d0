/**
 * `Forest.compact` as a user sees it: the size of the file, what it tells, how it ends early.
 */

import { describe, expect, it } from 'vitest';
import {
  codecs,
  Forest,
  type ForestOptions,
  reducers,
  type Tree,
  type TreeOptions,
} from '../../../src/forest/index.ts';
import { memoryFileSystem, type Progress } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { code, endSound, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { Random } from '../../support/random.ts';

type Options = TreeOptions<number, Uint8Array, number>;
type OneTree = Tree<number, Uint8Array, number>;

const plain = { key: codecs.u32 } as unknown as Options;
const entryCount = 12_000;
const perTransaction = 2000;

function openIn(options: ForestOptions = {}): Promise<Forest> {
  return Forest.open('forest', { fileSystem: memoryFileSystem(), ...options });
}

async function putAll(
  forest: Forest,
  tree: OneTree,
  keys: readonly number[],
  value: (key: number) => Uint8Array,
): Promise<void> {
  for (let at = 0; at < keys.length; at += perTransaction) {
    await forest.transaction((tx) => {
      const writing = tx.tree(tree);
      for (const key of keys.slice(at, at + perTransaction)) writing.put(key, value(key));
    });
  }
}

async function deleteAll(forest: Forest, tree: OneTree, keys: readonly number[]): Promise<void> {
  for (let at = 0; at < keys.length; at += perTransaction) {
    await forest.transaction((tx) => {
      const writing = tx.tree(tree);
      for (const key of keys.slice(at, at + perTransaction)) writing.delete(key);
    });
  }
}

function shuffled(count: number, random: Random): number[] {
  const keys = Array.from({ length: count }, (_, key) => key);
  for (let at = count - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [keys[at], keys[other]] = [keys[other] as number, keys[at] as number];
  }
  return keys;
}

/** A tree, and its forks with small changes of their own. */
async function forked(
  forest: Forest,
  options: Options,
  keys: readonly number[],
  forks: number,
): Promise<void> {
  for (let at = 0; at < forks; at++) {
    const name = `fork ${at}`;
    await forest.transaction((tx) => tx.fork('tree', name));
    const some = keys.filter((_, index) => index % 200 === at);
    await putAll(forest, forest.tree(name, options), some, (key) => patternOf(90, key + 1));
  }
}

const short = (key: number): Uint8Array => patternOf(20 + (key % 180), key);
const mixed = (key: number): Uint8Array =>
  patternOf(key % 12 === 0 ? 2000 + (key % 5000) : 60, key);
const sum = reducers.sum((_key: number, value: Uint8Array) => value.length);

interface Kind {
  readonly options?: Options;
  readonly value?: (key: number) => Uint8Array;
  readonly forks?: number;
  readonly inForest?: ForestOptions;
  readonly keeps: (key: number, random: Random) => boolean;
}

const kinds: Readonly<Record<string, Kind>> = {
  'nine tenths at random': { keeps: (_key, random) => random.chance(0.1) },
  'half at random': { keeps: (_key, random) => random.chance(0.5) },
  'the older half': { keeps: (key) => key >= entryCount / 2 },
  'most entries, some with long values': {
    value: mixed,
    keeps: (_key, random) => random.chance(0.3),
  },
  'most of a versioned tree, its history trimmed': {
    options: { ...plain, versioned: true },
    keeps: (_key, random) => random.chance(0.2),
  },
  'most of a tree with a reducer': {
    options: { ...plain, reducer: sum } as Options,
    inForest: { nodeBytes: 512 },
    keeps: (_key, random) => random.chance(0.2),
  },
  'most entries, under a vault': {
    inForest: { vault: aesGcm({ key: new Uint8Array(32) }) },
    keeps: (_key, random) => random.chance(0.3),
  },
  'most entries, then forked': { forks: 4, keeps: (_key, random) => random.chance(0.3) },
};

/** Deletes, compacts, and makes the same forest anew. Returns both sizes. */
async function sizesOf(kind: Kind): Promise<{ after: number; fresh: number }> {
  const { options = plain, value = short, forks = 0, inForest, keeps } = kind;
  const random = new Random(11);
  const forest = await openIn(inForest);
  const tree = forest.tree('tree', options);
  await putAll(forest, tree, shuffled(entryCount, random), value);
  const kept: number[] = [];
  const gone: number[] = [];
  for (let key = 0; key < entryCount; key++) (keeps(key, random) ? kept : gone).push(key);
  await deleteAll(forest, tree, gone);
  const trim = async (of: Forest, one: OneTree): Promise<void> => {
    if (options.versioned !== true) return;
    await of.transaction((tx) => tx.tree(one).trimHistory(one.lastSequence));
  };
  await trim(forest, tree);
  await forked(forest, options, kept, forks);
  const report = await forest.compact();
  const after = forest.store.statistics().fileBytes;
  expect(report.fileBytesAfter).toBe(after);
  expect(report.fileBytesBefore).toBeGreaterThan(after);
  const fresh = await openIn(inForest);
  const again = fresh.tree('tree', options);
  await putAll(fresh, again, kept, value);
  await trim(fresh, again);
  await forked(fresh, options, kept, forks);
  for (const name of fresh.names()) {
    const [one, other] = [forest.tree(name, options), fresh.tree(name, options)];
    expect([...one.range()]).toEqual([...other.range()]);
    if (options.reducer !== undefined) expect(one.reduce()).toBe(other.reduce());
  }
  const { fileBytes } = fresh.store.statistics();
  await endSound(forest);
  await fresh.close();
  return { after, fresh: fileBytes };
}

/** Room for a few segments of the log, which weigh in a small file. */
const slackBytes = 384 * 1024;

describe('a compacted forest', () => {
  it.each(Object.keys(kinds))('is as small as a fresh one after deleting %s', async (name) => {
    const { after, fresh } = await sizesOf(kinds[name] as Kind);
    expect(after).toBeLessThanOrEqual(fresh * 1.2 + slackBytes);
  });
});

async function thinned(options: ForestOptions = {}): Promise<{ forest: Forest; tree: OneTree }> {
  const forest = await openIn(options);
  const tree = forest.tree('tree', plain);
  const keys = shuffled(6000, new Random(5));
  await putAll(forest, tree, keys, short);
  await deleteAll(
    forest,
    tree,
    keys.filter((key) => key % 7 !== 0),
  );
  return { forest, tree };
}

describe('a compaction of a forest', () => {
  it('leaves what a snapshot holds to a later one', async () => {
    const { forest, tree } = await thinned();
    const held = forest.snapshot();
    const before = [...held.tree(tree).range()];
    const all = Array.from({ length: 6000 }, (_, key) => key);
    await deleteAll(forest, tree, all.slice(1000));
    const { heldByArchivedBytes, fileBytesAfter } = await forest.compact();
    expect(heldByArchivedBytes).toBeGreaterThan(0);
    expect([...held.tree(tree).range()]).toEqual(before);
    held.release();
    const after = await forest.compact();
    expect(after.heldByArchivedBytes).toBe(0);
    expect(after.fileBytesAfter).toBeLessThan(fileBytesAfter);
    await endSound(forest);
  });

  it('is not told of by onCommit, also in a commit with transactions', async () => {
    const { forest, tree } = await thinned();
    const told: string[][] = [];
    forest.onCommit(({ trees }) => told.push([...trees]));
    const other = forest.tree('other', plain);
    const compacted = forest.compact();
    const put = other.put(1, short(1));
    await Promise.all([compacted, put]);
    expect(told).toEqual([['other']]);
    expect(tree.count()).toBe(858);
    await endSound(forest);
  });

  it('runs once at a time, and never in a forest that is read-only or closed', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('forest', { fileSystem });
    await forest.tree('tree', plain).put(1, short(1));
    const first = forest.compact();
    await expect(forest.compact()).rejects.toEqual(code('BUSY'));
    await first;
    await forest.compact();
    await forest.close();
    await expect(forest.compact()).rejects.toEqual(code('CLOSED'));
    const reader = await Forest.open('forest', { fileSystem, readOnly: true });
    await expect(reader.compact()).rejects.toEqual(code('READ_ONLY'));
    await reader.close();
  });

  it('refuses wrong options before it begins', async () => {
    const forest = await openIn();
    for (const options of [
      { movePushed: 1 },
      { signal: 1 },
      { onProgress: 'often' },
      { bytesPerSecond: 0 },
      { movepushed: () => true },
    ]) {
      await expect(forest.compact(options as never)).rejects.toEqual(code('INVALID_ARGUMENT'));
    }
    await endSound(forest);
  });

  it('stops at each report of its progress, and the next one does the rest', async () => {
    const { forest: whole } = await thinned();
    const { fileBytesAfter: least } = await whole.compact();
    await whole.close();
    const { forest, tree } = await thinned();
    const before = [...tree.range()];
    const reason = new Error('enough');
    const stopped: Progress[] = [];
    const stop = (progress: Progress): void => {
      stopped.push(progress);
      throw reason;
    };
    await expect(forest.compact({ onProgress: stop })).rejects.toBe(reason);
    expect(stopped).toEqual([
      { phase: 'packing leaves', done: 0, total: undefined, unit: 'bytes' },
    ]);
    const controller = new AbortController();
    const compacted = forest.compact({ signal: controller.signal });
    const put = tree.put(3, short(3));
    await put;
    controller.abort(reason);
    await expect(compacted).rejects.toBe(reason);
    await tree.delete(3);
    expect([...tree.range()]).toEqual(before);
    const { fileBytesAfter } = await forest.compact();
    expect(fileBytesAfter).toBeLessThan(least * 1.2);
    expect(await findingsOf(forest)).toEqual([]);
    await endSound(forest);
  });

  it('ends when the forest or its store is closed, which waits for it', async () => {
    for (const by of ['forest', 'store'] as const) {
      const { forest } = await thinned();
      const compacted = forest.compact();
      compacted.catch(() => undefined);
      const closed = by === 'forest' ? forest.close() : forest.store.close();
      await expect(compacted).rejects.toEqual(code('CLOSED'));
      await closed;
      if (by === 'store') await forest.close().catch(() => undefined);
    }
  });

  it('packs the leaves of a tree with a reducer only if the program has opened it', async () => {
    const fileSystem = memoryFileSystem();
    const options = { ...plain, reducer: sum } as Options;
    const forest = await Forest.open('forest', { fileSystem });
    const keys = Array.from({ length: 6000 }, (_, key) => key);
    const tree = forest.tree('tree', options);
    await putAll(forest, tree, keys, short);
    await deleteAll(
      forest,
      tree,
      keys.filter((key) => key % 3 !== 0),
    );
    const total = tree.reduce();
    await forest.close();
    const unknown = await Forest.open('forest', { fileSystem });
    await unknown.compact();
    const { valueBytes } = unknown.store.statistics();
    expect(unknown.tree('tree', options).reduce()).toBe(total);
    await unknown.compact();
    expect(unknown.store.statistics().valueBytes).toBeLessThan(valueBytes);
    expect(unknown.tree('tree', options).reduce()).toBe(total);
    await endSound(unknown);
  });
});
