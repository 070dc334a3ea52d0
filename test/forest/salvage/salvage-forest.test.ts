/**
 * Salvages of forests: with values of the store destroyed one by one, each tree has what was left,
 * the report says which keys are lost, and the forest verifies and takes changes.
 *
 * Destroyed are values of the store, by name: nodes, roots, long values. What a node is, a plain
 * reading of `spec/forest.md` in the test says where that matters.
 */

import { describe, expect, it } from 'vitest';
import {
  codecs,
  Forest,
  reducers,
  salvageForest,
  type TreeOptions,
} from '../../../src/forest/index.ts';
import {
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  Store,
  salvage,
} from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { placesOf } from '../../store/salvage/damage.ts';
import { bytesOf, diskWith } from '../../store/salvage/salvage-ground.ts';
import { Random } from '../../support/random.ts';

const from = 'source';
const to = 'target';
const number = { key: codecs.uint, value: codecs.utf8 };
const summed = {
  key: codecs.uint,
  value: codecs.f64,
  reducer: reducers.sum((_key: number, value: number) => value),
};
type AnyOptions = TreeOptions<unknown, unknown, unknown>;

/** The trees of a forest: entries by name. */
type Model = Map<string, Map<number, string | number>>;

interface Grown {
  readonly fileSystem: FileSystem;
  readonly model: Model;
  /** Every value of the store. */
  readonly ids: GrainId[];
}

interface GrowOptions {
  readonly vault?: ReturnType<typeof aesGcm>;
  readonly journalBytes?: number;
  readonly closed: boolean;
}

const treeNames = ['numbers', 'sums', 'versions', 'fork'] as const;
const optionsOf: Record<string, AnyOptions> = {
  numbers: number as AnyOptions,
  sums: summed as AnyOptions,
  versions: { ...number, versioned: true } as AnyOptions,
  fork: number as AnyOptions,
};

/** A forest with trees of all kinds. */
async function grown({ closed, ...options }: GrowOptions): Promise<Grown> {
  const fileSystem = memoryFileSystem();
  const forest = await Forest.open(from, { fileSystem, nodeBytes: 500, ...options });
  const model: Model = new Map(treeNames.map((name) => [name, new Map()]));
  const numbers = forest.tree('numbers', number);
  const sums = forest.tree('sums', summed);
  const versions = forest.tree('versions', { ...number, versioned: true });
  const put = async (seed: number, count: number): Promise<void> => {
    const random = new Random(seed);
    await forest.transaction((tx) => {
      for (let n = 0; n < count; n++) {
        const key = random.below(1500);
        const text = random.chance(0.05) ? `long ${key} `.repeat(60) : `text ${key}-${seed}`;
        tx.tree(numbers).put(key, text);
        model.get('numbers')?.set(key, text);
        tx.tree(sums).put(key, key + seed);
        model.get('sums')?.set(key, key + seed);
        if (n % 3 > 0) continue;
        tx.tree(versions).put(key, text);
        model.get('versions')?.set(key, text);
      }
    });
  };
  for (let seed = 1; seed <= 6; seed++) await put(seed, 200);
  await forest.transaction((tx) => {
    tx.fork('numbers', 'fork');
  });
  for (const [key, value] of model.get('numbers') ?? []) model.get('fork')?.set(key, value);
  await put(7, 40);
  await forest.transaction((tx) => {
    for (const key of [...(model.get('numbers')?.keys() ?? [])].slice(0, 30)) {
      tx.tree(numbers).delete(key);
      model.get('numbers')?.delete(key);
    }
  });
  if (closed) await forest.close();
  const bytes = await bytesOf(fileSystem, from);
  const disk = await diskWith(bytes, from);
  const ids: GrainId[] = [];
  await salvage(from, 'ids', { fileSystem: disk, onValue: (id) => void ids.push(id) });
  await disk.remove?.('ids');
  return { fileSystem: disk, model, ids };
}

/** The file without these values: their checksums fail, and records that carry them too. */
async function without(grown: Grown, gone: readonly GrainId[]): Promise<FileSystem> {
  const bytes = (await bytesOf(grown.fileSystem, from)).slice();
  const store = await Store.open('copy', { fileSystem: await diskWith(bytes, 'copy') });
  for (const id of gone) {
    const value = store.get(id) as Uint8Array;
    for (const at of placesOf(bytes, id, value)) bytes[at + 4] = (bytes[at + 4] as number) ^ 0xff;
  }
  await store.close();
  return await diskWith(bytes, from);
}

/** Reads the salvaged forest, checks it, and changes it. */
async function contentOf(fileSystem: FileSystem, vault?: ReturnType<typeof aesGcm>) {
  const forest = await Forest.open(to, { fileSystem, vault, create: false, nodeBytes: 500 });
  const content: Model = new Map();
  for (const name of forest.names()) {
    const tree = forest.tree(name, optionsOf[name] as AnyOptions);
    const entries = new Map<number, string | number>();
    for (const [key, value] of tree.range()) entries.set(key as number, value as string);
    content.set(name, entries);
  }
  for await (const { message } of forest.verify({ deep: true })) throw new Error(message);
  const sums = forest.tree('sums', summed);
  if (content.has('sums')) {
    let sum = 0;
    for (const value of content.get('sums')?.values() ?? []) sum += value as number;
    expect(sums.reduce()).toBe(sum);
  }
  await forest.transaction((tx) => {
    for (let key = 0; key < 200; key++) tx.tree(sums).put(key * 7, key);
  });
  for await (const { message } of forest.verify({ deep: true })) throw new Error(message);
  for await (const { message } of forest.store.verify({ deep: true })) throw new Error(message);
  await forest.close();
  return content;
}

/** What is there is true; what is missing is in a range that is reported as lost. */
function expectLeft(
  model: Model,
  content: Model,
  trees: readonly {
    name: string;
    lost: readonly { from?: unknown; to?: unknown; entries: number }[];
  }[],
): number {
  let missing = 0;
  for (const [name, entries] of content) {
    const expected = model.get(name) as Map<number, string | number>;
    const lost = trees.find((tree) => tree.name === name)?.lost ?? [];
    for (const [key, value] of entries) expect(value).toBe(expected.get(key));
    let missed = 0;
    for (const key of expected.keys()) {
      if (entries.has(key)) continue;
      missed += 1;
      const bytes = codecs.uint.encode(key);
      const isReported = lost.some((range) => {
        const low = range.from as Uint8Array | undefined;
        const high = range.to as Uint8Array | undefined;
        const isAfter = low === undefined || Buffer.compare(bytes, low) >= 0;
        return isAfter && (high === undefined || Buffer.compare(bytes, high) < 0);
      });
      if (!isReported) throw new Error(`${name}: ${key} is missing, and not reported`);
    }
    expect(missed).toBe(lost.reduce((sum, { entries: count }) => sum + count, 0));
    missing += missed;
  }
  return missing;
}

describe('an undamaged forest', () => {
  it.each([true, false])('is the same afterwards, closed: %s', async (closed) => {
    const grove = await grown({ closed });
    const { fileSystem } = grove;
    const report = await salvageForest(from, to, { fileSystem });
    expect(report).toMatchObject({ lostRoots: 0, lostChanges: 0, lostTrees: [] });
    for (const { lost, lostHistory } of report.trees) expect([...lost, ...lostHistory]).toEqual([]);
    expect(await contentOf(fileSystem)).toEqual(grove.model);
  });

  it('is the same with a vault', async () => {
    const vault = aesGcm({ key: new Uint8Array(32).fill(3) });
    const grove = await grown({ closed: true, vault });
    const { fileSystem } = grove;
    await salvageForest(from, to, { fileSystem, vault });
    expect(await contentOf(fileSystem, vault)).toEqual(grove.model);
  });
});

describe('a closed forest without one value of its store', () => {
  it('has what is left, and reports the keys that are lost', async () => {
    const grove = await grown({ closed: true });
    const random = new Random(1);
    let losses = 0;
    for (let at = random.below(7); at < grove.ids.length; at += 1 + random.below(7)) {
      const fileSystem = await without(grove, [grove.ids[at] as GrainId]);
      const report = await salvageForest(from, to, { fileSystem, trees: optionsOf });
      const content = await contentOf(fileSystem);
      if (expectLeft(grove.model, content, report.trees) > 0) losses += 1;
      if (report.lostTrees.length === 0)
        expect([...content.keys()].sort()).toEqual([...treeNames].sort());
    }
    expect(losses).toBeGreaterThan(5);
  });
});
