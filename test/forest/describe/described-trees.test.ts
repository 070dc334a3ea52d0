/**
 * `Forest.describe`: what it says of each tree, its options, its end, and what it does beside a
 * writer. The bytes are compared in `describe.test.ts`.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, reducers, type Vault } from '../../../src/forest/index.ts';
import { memoryFileSystem, type Progress, Store } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { code } from '../../support/fixtures/forest-checks.ts';

const sum = reducers.sum((_key: number, value: number) => value);
const shapes = {
  sums: { key: codecs.u32, value: codecs.f64, reducer: sum },
  notes: { key: codecs.utf8, value: codecs.bytes, versioned: true },
  empty: { key: codecs.uint, value: codecs.bytes },
};

async function filled(forest: Forest): Promise<void> {
  await forest.transaction((tx) => {
    const sums = tx.tree(forest.tree('sums', shapes.sums));
    for (let at = 0; at < 500; at++) sums.put(at, at);
    const notes = tx.tree(forest.tree('notes', shapes.notes));
    notes.put('a', patternOf(5000));
    notes.put('b', patternOf(10));
    const empty = tx.tree(forest.tree('empty', shapes.empty));
    empty.put(1, patternOf(1));
    tx.fork('notes', 'draft');
  });
  await forest.tree('empty', shapes.empty).delete(1);
  await forest.transaction((tx) => tx.drop('draft'));
}

const vaults: [string, () => Vault | undefined][] = [
  ['without a vault', () => undefined],
  ['in aesGcm', () => aesGcm({ key: new Uint8Array(32).fill(1) })],
];

describe.each(vaults)('a described forest %s', (_name, vaultOf) => {
  it('has the facts of its trees, for a process that knows no codecs', async () => {
    const fileSystem = memoryFileSystem();
    const options = { fileSystem, nodeBytes: 500, vault: vaultOf() };
    const forest = await Forest.open('a.varve', options);
    expect(await forest.describe()).toEqual({ trees: [], pushedBytes: undefined });
    expect(await forest.describe({ measure: true })).toEqual({ trees: [], pushedBytes: 0 });
    await filled(forest);
    await forest.close();
    const again = await Forest.open('a.varve', options);
    const { trees, pushedBytes } = await again.describe();
    expect(pushedBytes).toBe(undefined);
    const none = { reducer: undefined, versioned: false, bytes: undefined, sharedBytes: undefined };
    const vault = options.vault?.name;
    expect(trees).toEqual([
      {
        ...none,
        name: 'empty',
        entries: 0,
        height: 0,
        keyCodec: 'uint',
        valueCodec: 'bytes',
        vault,
      },
      {
        ...none,
        name: 'notes',
        entries: 2,
        height: 1,
        keyCodec: 'utf8',
        valueCodec: 'bytes',
        versioned: true,
        vault,
      },
      {
        ...none,
        name: 'sums',
        entries: 500,
        height: 2,
        keyCodec: 'u32',
        valueCodec: 'f64',
        reducer: 'sum',
        vault,
      },
    ]);
    const measured = await again.describe({ measure: true });
    expect(measured.trees.map(({ bytes: _, sharedBytes: __, ...facts }) => facts)).toEqual(
      trees.map(({ bytes: _, sharedBytes: __, ...facts }) => facts),
    );
    expect(measured.trees.map(({ sharedBytes }) => sharedBytes)).toEqual([0, 0, 0]);
    const [empty, notes, sums] = measured.trees.map(({ bytes }) => bytes as number);
    expect(empty).toBe(0);
    expect(notes).toBeGreaterThan(5000);
    expect(sums).toBeGreaterThan(500 * 12);
    expect(measured.pushedBytes).toBe(0);
    await again.close();
  });

  it('says the same from a reader beside its writer', async () => {
    const fileSystem = memoryFileSystem();
    const options = { fileSystem, nodeBytes: 500, vault: vaultOf() };
    const forest = await Forest.open('a.varve', { ...options, checkpoint: 'manual' });
    await filled(forest);
    await forest.transaction((tx) => {
      tx.push(patternOf(3000));
      tx.fork('notes', 'other');
    });
    const reader = await Forest.open('a.varve', { ...options, readOnly: true });
    const expected = await forest.describe({ measure: true });
    expect(expected.pushedBytes).toBeGreaterThanOrEqual(3008);
    expect(await reader.describe({ measure: true })).toEqual(expected);
    // The reader stays at its commit, whatever the writer does, until it frees what it reads.
    await forest.tree('notes', shapes.notes).put('c', patternOf(4000));
    await forest.transaction((tx) => tx.drop('sums'));
    expect(await reader.describe({ measure: true })).toEqual(expected);
    await forest.store.checkpointTo(forest.store.currentBatch);
    await expect(reader.describe({ measure: true })).rejects.toEqual(code('SNAPSHOT_GONE'));
    await reader.refresh();
    expect(await reader.describe({ measure: true })).toEqual(
      await forest.describe({ measure: true }),
    );
    await reader.close();
    await forest.close();
  });
});

describe('the description of a forest', () => {
  it('reports nodes, and stops with the reason of its signal', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500 });
    await filled(forest);
    for (const measure of [true, false]) {
      const reports: Progress[] = [];
      const onProgress = (progress: Progress): void => {
        reports.push(progress);
      };
      await forest.describe({ measure, onProgress });
      expect(reports[0]).toMatchObject({ done: 0, total: undefined, unit: 'nodes' });
    }
    const reason = new Error('enough');
    const aborted = forest.describe({ measure: true, signal: AbortSignal.abort(reason) });
    await expect(aborted).rejects.toBe(reason);
    const stopped = new AbortController();
    const { signal } = stopped;
    const onProgress = (): void => stopped.abort(reason);
    await expect(forest.describe({ measure: true, signal, onProgress })).rejects.toBe(reason);
    const thrown = (): never => {
      throw reason;
    };
    await expect(forest.describe({ measure: true, onProgress: thrown })).rejects.toBe(reason);
    expect(forest.store.statistics().oldestGuard).toBe(undefined);
    await forest.close();
  });

  it('ends when the forest is closed, and lets it close', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500 });
    await filled(forest);
    // At this rate it would take minutes.
    const describing = forest.describe({ measure: true, bytesPerSecond: 100 });
    const refused = expect(describing).rejects.toEqual(code('CLOSED'));
    await forest.close();
    await refused;
    await expect(forest.describe()).rejects.toEqual(code('CLOSED'));
  });

  it('does not begin while the forest closes', async () => {
    const store = await Store.inMemory();
    const forest = await Forest.on(store, { nodeBytes: 500 });
    await filled(forest);
    let go = (): void => undefined;
    const goes = new Promise<void>((resolve) => {
      go = resolve;
    });
    const running = forest.transaction(() => goes);
    const closing = forest.close();
    const describing = forest.describe({ measure: true, bytesPerSecond: 100 });
    const refused = expect(describing).rejects.toEqual(code('CLOSED'));
    go();
    await running;
    await closing;
    // The store stays open: nothing of the forest may hold it.
    expect(store.statistics().oldestGuard).toBe(undefined);
    await refused;
    await store.close();
  });

  it('refuses options that it does not know', async () => {
    const forest = await Forest.inMemory();
    const wrong = [{ measured: true }, { measure: 1 }, { signal: 1 }, { bytesPerSecond: 0 }, null];
    for (const options of wrong) {
      await expect(forest.describe(options as never)).rejects.toEqual(code('INVALID_ARGUMENT'));
    }
    await forest.close();
  });

  it('leaves out what a running transaction has pushed', async () => {
    const forest = await Forest.inMemory();
    await filled(forest);
    let go = (): void => undefined;
    const goes = new Promise<void>((resolve) => {
      go = resolve;
    });
    const earlier = forest.tree('sums', shapes.sums).put(1, 1);
    const running = forest.transaction(async (tx) => {
      tx.push(patternOf(9000));
      await goes;
    });
    await earlier;
    // The commit of the put has taken the value along.
    await forest.store.put(patternOf(100));
    const { pushedBytes } = await forest.describe({ measure: true });
    expect(pushedBytes).toBeLessThan(200);
    go();
    await running;
    const later = await forest.describe({ measure: true });
    expect(later.pushedBytes).toBeGreaterThan(9000);
    await forest.close();
  });
});
