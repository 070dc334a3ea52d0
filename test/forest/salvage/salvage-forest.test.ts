/**
 * Salvages of forests: with values of the store destroyed one by one, each tree has what was left,
 * the report says which keys are lost, and the forest verifies and takes changes.
 *
 * Destroyed are values of the store, by name: nodes, roots, long values. What a node is, a plain
 * reading of `spec/forest.md` in the test says where that matters.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, salvageForest } from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { Random } from '../../support/random.ts';
import {
  contentOf,
  expectLeft,
  from,
  grown,
  idsOf,
  number,
  optionsOf,
  to,
  treeNames,
  without,
} from './forest-ground.ts';

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
    const store = await Store.open(from, { fileSystem });
    const isThere = store.get(grove.root as GrainId) !== undefined;
    await store.close();
    // The log may carry it: then its grains mean nothing, and the root is still there.
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
