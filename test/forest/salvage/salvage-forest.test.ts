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
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
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
  /** The newest root. */
  readonly root: GrainId | undefined;
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
  const disk = await diskWith(await bytesOf(fileSystem, from), from);
  const store = await Store.open('copy', {
    fileSystem: await diskWith(await bytesOf(disk, from), 'copy'),
  });
  const root = store.embeddedHeader;
  await store.close();
  return { fileSystem: disk, model, ids: await idsOf(disk), root };
}

async function idsOf(fileSystem: FileSystem): Promise<GrainId[]> {
  const ids: GrainId[] = [];
  await salvage(from, 'ids', { fileSystem, onValue: (id) => void ids.push(id) });
  await fileSystem.remove?.('ids');
  return ids;
}

/** The file without these values: their checksums fail, and records that carry them too. */
async function without(grove: Grown, gone: readonly GrainId[]): Promise<FileSystem> {
  const bytes = (await bytesOf(grove.fileSystem, from)).slice();
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
  isExact = true,
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
    const reported = lost.reduce((sum, { entries: count }) => sum + count, 0);
    if (isExact) expect(missed).toBe(reported);
    else expect(missed).toBeLessThanOrEqual(reported);
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
    for (let at = random.below(12); at < grove.ids.length; at += 1 + random.below(40)) {
      const fileSystem = await without(grove, [grove.ids[at] as GrainId]);
      const report = await salvageForest(from, to, { fileSystem, trees: optionsOf });
      const content = await contentOf(fileSystem);
      if (expectLeft(grove.model, content, report.trees) > 0) losses += 1;
      if (report.lostTrees.length > 0) continue;
      expect([...content.keys()].sort()).toEqual([...treeNames].sort());
    }
    expect(losses).toBeGreaterThan(3);
  });
});

describe('a forest without many values of its store', () => {
  const vault = aesGcm({ key: new Uint8Array(32).fill(3) });
  it.each([
    ['closed', { closed: true }],
    ['killed, with a journal', { closed: false }],
    ['closed, with a vault', { closed: true, vault }],
    ['killed, with a vault', { closed: false, vault }],
  ])('has what is left: %s', async (_, options) => {
    const grove = await grown(options);
    const random = new Random(2);
    const used = 'vault' in options ? options.vault : undefined;
    let tried = 0;
    for (let round = 0; round < 7; round++) {
      const gone = grove.ids.filter(
        (id) => id !== grove.root && random.chance(0.004 * (1 + round)),
      );
      const fileSystem = await without(grove, gone);
      let report: Awaited<ReturnType<typeof salvageForest>>;
      try {
        report = await salvageForest(from, to, { fileSystem, trees: optionsOf, vault: used });
      } catch (error) {
        expect(error).toMatchObject({ code: 'VARVE_NOT_A_FOREST' });
        continue;
      }
      tried += 1;
      const content = await contentOf(fileSystem, used);
      if (report.lostRoots === 0) expectLeft(grove.model, content, report.trees, options.closed);
    }
    expect(tried).toBeGreaterThan(4);
  });
});

describe('a forest whose newest root is lost', () => {
  it('is as one of its earlier roots says', async () => {
    const grove = await grown({ closed: false, journalBytes: 100_000 });
    const fileSystem = await without(grove, [grove.root as GrainId]);
    const bytes = await bytesOf(fileSystem, from);
    const store = await Store.open(from, { fileSystem });
    const isThere = store.get(grove.root as GrainId) !== undefined;
    await store.close();
    // The log may carry the root: then the log is damaged, at the bytes of the value.
    const { length } = bytes;
    expect(length).toBeGreaterThan(0);
    const report = await salvageForest(from, to, { fileSystem, trees: optionsOf });
    expect(report.lostRoots).toBe(isThere ? 0 : 1);
    await contentOf(fileSystem);
  });
});

describe('a branch that is lost', () => {
  it('has its leaves again, since they can belong to no other tree', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open(from, { fileSystem, nodeBytes: 500 });
    const tree = forest.tree('numbers', number);
    const expected: [number, string][] = [];
    await forest.transaction((tx) => {
      for (let key = 0; key < 3000; key++) {
        const text = key % 100 === 0 ? `long ${key} `.repeat(60) : `text ${key}`;
        tx.tree(tree).put(key, text);
        expected.push([key, text]);
      }
    });
    await forest.close();
    const store = await Store.open(from, { fileSystem });
    const branches: GrainId[] = [];
    for (const id of await idsOf(fileSystem)) {
      const bytes = store.get(id) as Uint8Array;
      // The level, two bytes of zeros, a count below 256.
      if (bytes[0] === 1 && bytes[2] === 0 && bytes[3] === 0 && bytes[5] === 0) branches.push(id);
    }
    await store.close();
    expect(branches.length).toBeGreaterThan(2);
    const grove = { fileSystem, model: new Map(), ids: [], root: undefined };
    for (const gone of [branches.slice(0, 1), branches.slice(-1), branches.slice(1, 3)]) {
      const damaged = await without(grove, gone);
      const report = await salvageForest(from, to, { fileSystem: damaged });
      expect(report.trees).toEqual([{ name: 'numbers', entries: 3000, lost: [], lostHistory: [] }]);
      expect(report.store.lostCount).toBe(gone.length);
      const after = await Forest.open(to, { fileSystem: damaged });
      expect([...after.tree('numbers', number).range()]).toEqual(expected);
      for await (const { message } of after.verify({ deep: true })) throw new Error(message);
      await after.close();
    }
  });
});

describe('pushed values and histories', () => {
  it('keep their ids and numbers', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open(from, { fileSystem });
    const tree = forest.tree('files', { key: codecs.utf8, value: codecs.u64, versioned: true });
    const bytes = new Uint8Array(5000).fill(9);
    for (let at = 0; at < 20; at++) {
      await forest.transaction((tx) => {
        tx.tree(tree).put(`file ${at % 7}`, tx.push(bytes));
      });
    }
    const changes = [...tree.changes()];
    const entries = [...tree.range()];
    await forest.close();
    await salvageForest(from, to, { fileSystem });
    const after = await Forest.open(to, { fileSystem });
    const again = after.tree('files', { key: codecs.utf8, value: codecs.u64, versioned: true });
    expect([...again.changes()]).toEqual(changes);
    expect([...again.range()]).toEqual(entries);
    for (const [, id] of again.range()) expect(after.get(id as GrainId)).toEqual(bytes);
    expect(again.lastSequence).toBe(20);
    await after.close();
  });
});

describe('a salvage of a forest rejects', () => {
  const workPath = `${to}.rebuilding`;

  it('with VARVE_EXISTS, VARVE_NOT_A_FOREST, VARVE_VAULT, VARVE_INVALID_ARGUMENT', async () => {
    const { fileSystem } = await grown({ closed: true });
    const store = await Store.open('plain', { fileSystem });
    await store.put(new Uint8Array(300));
    await store.close();
    const vault = aesGcm({ key: new Uint8Array(32) });
    for (const [call, code] of [
      [() => salvageForest(from, 'plain', { fileSystem }), 'VARVE_EXISTS'],
      [() => salvageForest(from, from, { fileSystem }), 'VARVE_EXISTS'],
      [() => salvageForest('plain', to, { fileSystem }), 'VARVE_NOT_A_FOREST'],
      [() => salvageForest('none', to, { fileSystem }), 'VARVE_NOT_FOUND'],
      [() => salvageForest(from, to, { fileSystem, vault }), 'VARVE_VAULT'],
      [() => salvageForest(from, to, { fileSystem, codecs } as object), 'VARVE_INVALID_ARGUMENT'],
      [() => salvageForest(from, '', { fileSystem }), 'VARVE_INVALID_ARGUMENT'],
    ] as const) {
      await expect(call()).rejects.toMatchObject({ code });
      for (const path of [to, workPath]) {
        await expect(bytesOf(fileSystem, path)).rejects.toMatchObject({ code: 'ENOENT' });
      }
    }
  });

  it('with VARVE_TREE_MISMATCH for a damaged tree with a reducer without its options', async () => {
    const grove = await grown({ closed: true });
    let mismatches = 0;
    for (const id of grove.ids.filter((_, at) => at % 16 === 0)) {
      const fileSystem = await without(grove, [id]);
      const given = await salvageForest(from, to, { fileSystem, trees: optionsOf });
      const isHit = (given.trees.find(({ name }) => name === 'sums')?.lost.length ?? 0) > 0;
      if (!isHit) continue;
      mismatches += 1;
      await expect(salvageForest(from, 'other', { fileSystem })).rejects.toMatchObject({
        code: 'VARVE_TREE_MISMATCH',
      });
      await expect(bytesOf(fileSystem, 'other')).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(mismatches).toBeGreaterThan(0);
  });

  it('with the reason of its signal, and leaves nothing', async () => {
    const { fileSystem } = await grown({ closed: true });
    const bytes = await bytesOf(fileSystem, from);
    let isDone = false;
    let stopped = 0;
    for (let at = 0; !isDone; at += 7) {
      const disk = new WrappedFileSystem(await diskWith(bytes, from));
      const controller = new AbortController();
      const reason = new Error('enough');
      let count = 0;
      disk.before = () => {
        if (count++ === at) controller.abort(reason);
      };
      const { signal } = controller;
      const error = await salvageForest(from, to, { fileSystem: disk, signal }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      disk.before = undefined;
      isDone = error === undefined;
      await expect(bytesOf(disk.inner, workPath)).rejects.toMatchObject({ code: 'ENOENT' });
      if (isDone) continue;
      stopped += 1;
      expect(error).toBe(reason);
      await expect(bytesOf(disk.inner, to)).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(stopped).toBeGreaterThan(2);
  });
});
