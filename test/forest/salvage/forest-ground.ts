/**
 * Forests for salvages: trees of all kinds with a plain model of their entries, their values destroyed
 * by name, and what is left compared with the model.
 *
 * Invariant: a destroyed value fails its checksum wherever it is in the file.
 */

import { expect } from 'vitest';
import { codecs, Forest, reducers, type TreeOptions } from '../../../src/forest/index.ts';
import {
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  Store,
  salvage,
} from '../../../src/index.ts';
import type { aesGcm } from '../../../src/vault/index.ts';
import { placesOf } from '../../store/salvage/damage.ts';
import { bytesOf, diskWith } from '../../store/salvage/salvage-ground.ts';
import { Random } from '../../support/random.ts';

export const from = 'source';
export const to = 'target';
export const number = { key: codecs.uint, value: codecs.utf8 };
const summed = {
  key: codecs.uint,
  value: codecs.f64,
  reducer: reducers.sum((_key: number, value: number) => value),
};
type AnyOptions = TreeOptions<unknown, unknown, unknown>;

/** The trees of a forest: entries by name. */
export type Model = Map<string, Map<number, string | number>>;

export interface Grown {
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

export const treeNames = ['numbers', 'sums', 'versions', 'fork'] as const;
export const optionsOf: Record<string, AnyOptions> = {
  numbers: number as AnyOptions,
  sums: summed as AnyOptions,
  versions: { ...number, versioned: true } as AnyOptions,
  fork: number as AnyOptions,
};

/** A forest with trees of all kinds. */
export async function grown({ closed, ...options }: GrowOptions): Promise<Grown> {
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

export async function idsOf(fileSystem: FileSystem): Promise<GrainId[]> {
  const ids: GrainId[] = [];
  await salvage(from, 'ids', { fileSystem, onValue: (id) => void ids.push(id) });
  await fileSystem.remove?.('ids');
  return ids;
}

/** The file without these values: their checksums fail, and records that carry them too. */
export async function without(grove: Grown, gone: readonly GrainId[]): Promise<FileSystem> {
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
export async function contentOf(fileSystem: FileSystem, vault?: ReturnType<typeof aesGcm>) {
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
export function expectLeft(
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
