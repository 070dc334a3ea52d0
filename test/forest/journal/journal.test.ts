/**
 * Changes that are logged in roots and in no node yet: what they cost, and how long they wait.
 *
 * Invariant: here a crash is a store that is closed under an open forest. Contents under random
 * changes are in `model.test.ts`, power cuts in `crash-every-cut.test.ts`.
 */

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import { codecs, Forest, reducers } from '../../../src/forest/index.ts';
import { ChangeLog, replayChanges } from '../../../src/forest/journal/change-log.ts';
import { type GrainId, memoryFileSystem, Session, Store } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { code, endSound, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { numbers, planted, words } from '../../support/fixtures/planted-forest.ts';

function valuesOf({ store }: Forest): number {
  const { values, archivedValues } = store.statistics();
  return values - archivedValues;
}

afterEach(() => vi.restoreAllMocks());

describe('a small change', () => {
  it('pushes one value, whatever nodes it changes, and is there after a crash', async () => {
    const { forest, tree, crash } = await planted(5000);
    const pushes = vi.spyOn(Session.prototype, 'push');
    for (let key = 0; key < 10; key++) await tree.put(key * 977, key);
    forest.transactionSync((tx) => tx.tree(tree).delete(50));
    await tree.put(977, 77);
    expect(pushes).toHaveBeenCalledTimes(12);
    expect(forest.statistics().journalBytes).toBeGreaterThan(0);
    const again = await crash();
    expect(again.statistics().journalBytes).toBe(forest.statistics().journalBytes);
    const reopened = again.tree('t', numbers);
    expect(reopened.count()).toBe(5000 - 1 + 9);
    expect(reopened.get(9 * 977)).toBe(9);
    expect(reopened.get(977)).toBe(77);
    expect(reopened.get(50)).toBe(undefined);
    await endSound(again);
  });

  it('is in nodes once the forest was closed', async () => {
    const { forest, tree, fileSystem } = await planted(500);
    await tree.put(1, 1);
    await forest.close();
    const again = await Forest.open('a.varve', { fileSystem });
    expect(again.statistics().journalBytes).toBe(0);
    expect(again.tree('t', numbers).get(1)).toBe(1);
    await endSound(again);
  });

  it('is read by an opening that may not write', async () => {
    const { forest, tree, fileSystem } = await planted(500);
    await tree.put(1, 1);
    await forest.store.close();
    const reading = await Forest.open('a.varve', { fileSystem, readOnly: true });
    expect(reading.tree('t', numbers).get(1)).toBe(1);
    expect(await findingsOf(reading)).toEqual([]);
    await reading.close();
    const again = await Forest.open('a.varve', { fileSystem });
    expect(again.statistics().journalBytes).toBeGreaterThan(0);
    await endSound(again);
  });

  it('leaves at most 1000 roots, however many commits it takes', async () => {
    const { forest, tree, crash } = await planted(500);
    const before = valuesOf(forest);
    const waiting: number[] = [];
    for (let key = 0; key < 1500; key++) {
      await tree.put(1, key);
      waiting.push(valuesOf(forest) - before);
    }
    expect(Math.max(...waiting)).toBeGreaterThan(700);
    expect(Math.max(...waiting)).toBeLessThan(1010);
    expect(Math.min(...waiting.slice(700, 1100))).toBeLessThan(520);
    for (let key = 0; key < 400; key++) await tree.put(key, key);
    const again = await crash();
    expect(again.tree('t', numbers).get(399)).toBe(399);
    for (let key = 0; key < 40; key++) await again.tree('t', numbers).put(key, 0);
    await endSound(again);
  });

  it('is written with its nodes if journalBytes is 0', async () => {
    const { forest, tree, crash } = await planted(500, { journalBytes: 0 });
    await tree.put(1, 1);
    expect(forest.statistics().journalBytes).toBe(0);
    const again = await crash();
    expect(again.tree('t', numbers).get(1)).toBe(1);
    await endSound(again);
  });
});

describe('replaced values', () => {
  it('that are long are freed before they take much of the file', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('blobs', { key: codecs.u32 });
    const value = new Uint8Array(100_000);
    await forest.transaction((tx) => {
      for (let key = 0; key < 10; key++) tx.tree(tree).put(key, value);
    });
    let most = 0;
    for (let round = 0; round < 300; round++) {
      await tree.put(round % 10, value);
      most = Math.max(most, forest.store.statistics().fileBytes);
    }
    expect(most).toBeLessThan(10 * value.length * 4);
    await endSound(forest);
  });
});

describe('logged changes', () => {
  it('are written back before they are more than journalBytes', async () => {
    const { forest, tree } = await planted(500, { journalBytes: 400 });
    const seen: number[] = [];
    for (let key = 0; key < 200; key++) {
      await tree.put(key * 7, 0);
      seen.push(forest.statistics().journalBytes);
    }
    expect(Math.max(...seen)).toBeLessThanOrEqual(400);
    expect(seen.filter((bytes, at) => bytes < (seen[at - 1] ?? 0)).length).toBeGreaterThan(5);
    await endSound(forest);
  });

  it('are written back before too many nodes of the file are replaced', async () => {
    const { forest, tree } = await planted(60_000);
    const leaves = valuesOf(forest);
    expect(leaves).toBeGreaterThan(900);
    const seen: number[] = [];
    for (let round = 0; round < 20; round++) {
      await forest.transaction((tx) => {
        for (let at = 0; at < 100; at++) tx.tree(tree).put(((round + at * 10) % 1000) * 600, 0);
      });
      seen.push(forest.statistics().journalBytes);
      // The nodes of one generation of at most 500, and what commits add beside them.
      expect(valuesOf(forest)).toBeLessThan(leaves + 500 + 150);
    }
    const falls = seen.filter((bytes, at) => bytes < (seen[at - 1] ?? 0)).length;
    expect(falls).toBeGreaterThan(1);
    expect(falls).toBeLessThan(6);
    await endSound(forest);
  });

  it('stay logged if each commit replaces most nodes anyway', async () => {
    const { forest, tree } = await planted(60_000);
    for (let round = 0; round < 3; round++) {
      await forest.transaction((tx) => {
        for (let at = 0; at < 3000; at++) tx.tree(tree).put(at * 200, round);
      });
      expect(forest.statistics().journalBytes).toBeGreaterThan(round * 3000 * 10);
    }
    await endSound(forest);
  });

  it('are written at once if keys come in ascending order', async () => {
    const { forest, tree } = await planted(500);
    await forest.transaction((tx) => {
      for (let at = 0; at < 3000; at++) tx.tree(tree).put(10_000 + at, at);
    });
    expect(forest.statistics().journalBytes).toBe(0);
    await endSound(forest);
  });

  it.each([
    ['a tree is made', (forest: Forest) => forest.tree('new', numbers).put(1, 1)],
    ['one is forked', (forest: Forest) => forest.transaction((tx) => tx.fork('t', 'u'))],
    ['one is dropped', (forest: Forest) => forest.transaction((tx) => tx.drop('t'))],
    [
      'a range is deleted',
      (forest: Forest) =>
        forest.transaction((tx) => tx.tree(forest.tree('t', numbers)).deleteRange({ lt: 90 })),
    ],
  ])('are written where %s', async (_what, change) => {
    const { forest, tree, crash } = await planted(500);
    await tree.put(3, 3);
    expect(forest.statistics().journalBytes).toBeGreaterThan(0);
    await change(forest);
    expect(forest.statistics().journalBytes).toBe(0);
    const names = forest.names();
    const again = await crash();
    expect(again.names()).toEqual(names);
    await endSound(again);
  });

  it('stay logged beside a tree with a reducer, whose own changes do not', async () => {
    const { forest, tree, crash } = await planted(500);
    const sums = forest.tree('sums', {
      ...numbers,
      reducer: reducers.sum((_key: number, value: number) => value),
    });
    await sums.put(1, 1);
    await tree.put(3, 3);
    expect(forest.statistics().journalBytes).toBeGreaterThan(0);
    await sums.put(2, 2);
    expect(forest.statistics().journalBytes).toBe(0);
    expect(sums.reduce()).toBe(3);
    const again = await crash();
    expect(again.tree('t', numbers).get(3)).toBe(3);
    await endSound(again);
  });

  it('are seen by a snapshot as long as it is held, whatever is written then', async () => {
    const { forest, tree } = await planted(2000);
    await tree.put(5, 5);
    const snapshot = forest.snapshot();
    await forest.transaction((tx) => tx.tree(tree).put(5, 6));
    await forest.transaction((tx) => tx.fork('t', 'u'));
    await forest.transaction((tx) => tx.tree(tree).deleteRange({ lt: 10_000 }));
    for (let key = 0; key < 50; key++) await tree.put(key, 0);
    expect(snapshot.tree(tree).get(5)).toBe(5);
    expect(snapshot.tree(tree).count()).toBe(2001);
    snapshot.release();
    await endSound(forest);
  });

  it('stay unchanged if a fork of their tree is abandoned', async () => {
    const { forest, tree, crash } = await planted(500);
    await tree.put(5, 5);
    const before = valuesOf(forest);
    const stop = new Error('stop');
    const fork = forest.transaction((tx) => {
      tx.tree(tree).put(6, 6);
      tx.fork('t', 'u');
      throw stop;
    });
    await expect(fork).rejects.toBe(stop);
    expect(await findingsOf(forest)).toEqual([]);
    await tree.put(7, 7);
    expect(valuesOf(forest) - before).toBe(1);
    const again = await crash();
    expect([...again.tree('t', numbers).keys({ gt: 0, lt: 10 })]).toEqual([5, 7]);
    await endSound(again);
  });

  it('are not committed with others if a fork of their tree that joins them fails', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const { forest, tree, crash } = await planted(500, { fileSystem: disk });
    await tree.put(5, 5);
    const before = valuesOf(forest);
    const stop = new Error('stop');
    const other = forest.tree('other', numbers);
    const syncs = disk.hold('datasync');
    const first = other.put(6, 6);
    await syncs.reached();
    expect(forest.store.committing).toBe(true);
    const put = other.put(7, 7);
    const fork = forest.transaction((tx) => {
      tx.tree(tree).put(6, 6);
      tx.fork('t', 'u');
      throw stop;
    });
    await expect(fork).rejects.toBe(stop);
    syncs.open();
    const outcomes = await Promise.allSettled([first, put, fork]);
    const statuses = outcomes.map(({ status }) => status);
    expect(statuses).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await findingsOf(forest)).toEqual([]);
    expect(valuesOf(forest) - before).toBe(2);
    const again = await crash();
    expect([...again.tree('t', numbers).keys({ gt: 0, lt: 10 })]).toEqual([5]);
    expect(again.tree('other', numbers).get(7)).toBe(7);
    await endSound(again);
  });
});

describe('a log of changes', () => {
  const change = fc.record({
    key: fc.uint8Array({ maxLength: 9 }),
    value: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined }),
    isLong: fc.boolean(),
  });

  it('returns the changes that were added, or says that it is full', () => {
    fc.assert(
      fc.property(fc.array(change), fc.nat(2000), (changes, bytesMax) => {
        const log = new ChangeLog(bytesMax);
        const told: unknown[] = [];
        let bytes = 0;
        for (const { key, value, isLong } of changes) {
          const word = (value?.length ?? 0) * 2 + (isLong ? 1 : 0);
          if (value === undefined) log.delete(key);
          else log.put(key, value, word);
          told.push(value === undefined ? { key } : { key, value, word });
          bytes += key.length + (value?.length ?? 0) + 2;
        }
        const again: unknown[] = [];
        if (log.bytes === undefined) expect(bytes + changes.length).toBeGreaterThan(bytesMax);
        else {
          replayChanges(log.bytes, {
            put: (key, value, word) => again.push({ key, value, word }),
            delete: (key) => again.push({ key }),
          });
          expect(again).toEqual(told);
        }
      }),
    );
  });

  it('decodes to changes or is VARVE_CORRUPT, whatever its bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        let taken = 0;
        const take = (key: Uint8Array, value?: Uint8Array): void => {
          taken += key.length + (value?.length ?? 0);
        };
        try {
          replayChanges(bytes, { put: take, delete: take });
        } catch (error) {
          if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
        }
        expect(taken).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

describe('in a vault', () => {
  const vault = () => aesGcm({ key: new Uint8Array(32).fill(3) });

  it('logged changes are sealed, and an older root in the place of one is refused', async () => {
    const { forest, tree, fileSystem } = await planted(300, { vault: vault() });
    const texts = forest.tree('texts', words);
    await texts.put('a', 'b');
    const roots: GrainId[] = [];
    for (let key = 1; key < 6; key++) {
      await texts.put(`key ${key}`, 'a secret that must not be seen');
      roots.push(forest.store.embeddedHeader as GrainId);
    }
    const sealed = roots.map((id) => Buffer.from(forest.store.get(id) ?? []));
    for (const bytes of sealed) expect(bytes.includes('must not be seen')).toBe(false);
    expect(tree.count()).toBe(300);
    await forest.store.close();
    const get = Store.prototype.get;
    vi.spyOn(Store.prototype, 'get').mockImplementation(function (this: Store, id) {
      return get.call(this, id === roots[2] ? (roots[1] as GrainId) : id);
    });
    const opening = Forest.open('a.varve', { fileSystem, vault: vault() });
    await expect(opening).rejects.toEqual(code('VAULT'));
    vi.restoreAllMocks();
    const again = await Forest.open('a.varve', { fileSystem, vault: vault() });
    expect(again.tree('texts', words).count()).toBe(6);
    await endSound(again);
  });
});
