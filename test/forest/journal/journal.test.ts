/**
 * Changes that are told in roots and in no node yet: what they cost, how long they wait, and what
 * an opening makes of them after a crash, also where something of it is damaged.
 *
 * Invariant: here a crash is a store that is closed under an open forest. Contents under random
 * changes are in `model.test.ts`, power cuts in `crash-every-cut.test.ts`.
 */

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { isVarveError, VarveError } from '../../../src/errors.ts';
import { codecs, Forest, type ForestOptions, reducers } from '../../../src/forest/index.ts';
import { ChangeLog, doAgain } from '../../../src/forest/journal/change-log.ts';
import {
  encodeForestRoot,
  encodeSealedRoot,
  type TreeChanges,
} from '../../../src/forest/journal/forest-root.ts';
import { Journal, type Place } from '../../../src/forest/journal/journal.ts';
import { emptyRoot } from '../../../src/forest/nodes/node.ts';
import { type GrainId, memoryFileSystem, Session, Store } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { code, endSound, findingsOf } from '../../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };
const words = { key: codecs.utf8, value: codecs.utf8 };

/** A forest on a disk in memory whose tree `t` has entries, all in nodes, and the way to crash. */
async function planted(count: number, settings: ForestOptions = {}) {
  const fileSystem = memoryFileSystem();
  const open = () => Forest.open('a.varve', { fileSystem, nodeBytes: 1000, ...settings });
  const forest = await open();
  const tree = forest.tree('t', numbers);
  await forest.transaction((tx) => {
    for (let key = 0; key < count; key++) tx.tree(tree).put(key * 10, key);
  });
  const crash = async (): Promise<Forest> => {
    await forest.store.close();
    return await open();
  };
  return { forest, tree, crash, fileSystem };
}

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

  it('leaves few roots, however many commits it takes', async () => {
    const { forest, tree, crash } = await planted(500);
    const before = valuesOf(forest);
    for (let key = 0; key < 400; key++) await tree.put(key, key);
    expect(valuesOf(forest) - before).toBeLessThan(40);
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

describe('changes that wait', () => {
  it('are written back before they are more than journalBytes', async () => {
    const { forest, tree } = await planted(500, { journalBytes: 400 });
    const seen: number[] = [];
    for (let key = 0; key < 200; key++) {
      await tree.put(key * 7, 0);
      seen.push(forest.statistics().journalBytes);
    }
    expect(Math.max(...seen)).toBeLessThanOrEqual(400);
    expect(seen.filter((bytes) => bytes === 0).length).toBeGreaterThan(5);
    await endSound(forest);
  });

  it('are written back before too many nodes of the file are replaced', async () => {
    const { forest, tree } = await planted(60_000);
    const leaves = valuesOf(forest);
    expect(leaves).toBeGreaterThan(900);
    let waited = 0;
    for (let round = 0; round < 10; round++) {
      await forest.transaction((tx) => {
        for (let at = 0; at < 100; at++) tx.tree(tree).put(((round + at * 10) % 1000) * 600, 0);
      });
      if (forest.statistics().journalBytes > 0) waited += 1;
    }
    expect(waited).toBeGreaterThan(4);
    expect(waited).toBeLessThan(10);
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
    const { forest, tree, crash } = await planted(500);
    await tree.put(5, 5);
    const before = valuesOf(forest);
    const stop = new Error('stop');
    const other = forest.tree('other', numbers);
    const first = other.put(6, 6);
    while (!forest.store.committing) await undefined;
    const put = other.put(7, 7);
    const fork = forest.transaction((tx) => {
      tx.tree(tree).put(6, 6);
      tx.fork('t', 'u');
      throw stop;
    });
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

/** The store has lost the values that `isLost` says so of. Gives those that were asked for. */
function losing(isLost: (bytes: Uint8Array, id: GrainId) => boolean): Set<GrainId> {
  const lost = new Set<GrainId>();
  const get = Store.prototype.get;
  vi.spyOn(Store.prototype, 'get').mockImplementation(function (this: Store, id) {
    const bytes = get.call(this, id);
    if (bytes === undefined || !isLost(bytes, id)) return bytes;
    lost.add(id);
    return undefined;
  });
  return lost;
}

describe('changes that cannot be done again', () => {
  it('are kept until they can be, and hinder no other tree', async () => {
    const { forest, tree, fileSystem } = await planted(500);
    const other = forest.tree('other', words);
    await other.put('a', '1');
    await tree.put(1, 1);
    await other.put('a', '2');
    await forest.store.close();
    // A node of that tree: no other is as long.
    const lost = losing((bytes) => bytes[0] === 0 && bytes.length > 300);
    let hurt = await Forest.open('a.varve', { fileSystem });
    expect(lost.size).toBe(1);
    expect(hurt.tree('other', words).get('a')).toBe('2');
    expect(() => hurt.tree('t', numbers)).toThrow(code('CORRUPT'));
    expect((await findingsOf(hurt)).join()).toContain("'t' cannot be read");
    await expect(hurt.transaction((tx) => tx.drop('t'))).rejects.toEqual(code('CORRUPT'));
    await hurt.tree('other', words).put('b', '3');
    await hurt.transaction((tx) => tx.fork('other', 'third'));
    await hurt.close();
    hurt = await Forest.open('a.varve', { fileSystem });
    expect(hurt.tree('third', words).get('b')).toBe('3');
    await hurt.tree('third', words).put('c', '4');
    await hurt.store.close();
    vi.restoreAllMocks();
    const healed = await Forest.open('a.varve', { fileSystem });
    expect(healed.tree('t', numbers).get(1)).toBe(1);
    expect(healed.tree('t', numbers).count()).toBe(501);
    expect([...healed.tree('third', words).keys()]).toEqual(['a', 'b', 'c']);
    await endSound(healed);
  });

  it('do not undo the changes of other trees to nodes that they share', async () => {
    const { forest, tree: one, fileSystem } = await planted(3000);
    await forest.transaction((tx) => tx.fork('t', 'u'));
    const other = forest.tree('u', numbers);
    await one.put(1, 1);
    await other.put(2, 2);
    await other.put(12_001, 2);
    await other.put(25_001, 3);
    await forest.store.close();
    const key = Buffer.from(codecs.uint.encode(25_000));
    const isLeaf = (bytes: Uint8Array): boolean => bytes[0] === 0 && bytes.length > 300;
    losing((bytes) => isLeaf(bytes) && Buffer.from(bytes).includes(key));
    const hurt = await Forest.open('a.varve', { fileSystem, nodeBytes: 1000 });
    expect(await findingsOf(hurt)).toHaveLength(1);
    await hurt.tree('t', numbers).put(3, 3);
    await hurt.tree('new', numbers).put(1, 1);
    await hurt.close();
    vi.restoreAllMocks();
    const healed = await Forest.open('a.varve', { fileSystem, nodeBytes: 1000 });
    expect(healed.tree('u', numbers).get(25_001)).toBe(3);
    expect([...healed.tree('t', numbers).keys({ gt: 0, lt: 10 })]).toEqual([1, 3]);
    await endSound(healed);
  });

  it('make the opening fail if a root that logs them is lost', async () => {
    const { forest, tree, fileSystem } = await planted(500);
    for (let key = 1; key < 4; key++) await tree.put(key, 1);
    const newest = forest.store.embeddedHeader;
    await forest.store.close();
    const isRoot = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes('varve forest');
    losing((bytes, id) => isRoot(bytes) && id !== newest);
    await expect(Forest.open('a.varve', { fileSystem })).rejects.toEqual(code('CORRUPT'));
    vi.restoreAllMocks();
    const again = await Forest.open('a.varve', { fileSystem });
    expect(again.tree('t', numbers).get(3)).toBe(1);
    await endSound(again);
  });

  it('make the opening fail if roots name each other', async () => {
    const store = await Store.inMemory();
    const root = { catalog: emptyRoot, shares: emptyRoot, nextSeal: 1, pending: [], changes: [] };
    const pushRoot = async (id: GrainId | undefined): Promise<GrainId> => {
      const earlier = id === undefined ? undefined : { id, seal: 0 };
      const body = encodeForestRoot({ ...root, depth: earlier === undefined ? 0 : 7, earlier });
      let pushed: GrainId | undefined;
      await store.updateEmbeddedHeader((session) => {
        pushed = session.push(encodeSealedRoot({ vault: '', seal: 0, body }));
        return pushed;
      });
      return pushed as GrainId;
    };
    const first = await pushRoot(undefined);
    await pushRoot(first);
    await expect(Forest.on(store)).rejects.toEqual(code('CORRUPT'));
    await store.close();
  });

  it('are VARVE_CORRUPT if they are not changes of that tree', async () => {
    const of = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(0, length);
    const eight = new Uint8Array(8);
    const wrong: readonly ((log: ChangeLog) => void)[] = [
      (log) => log.put(of(eight, 7), eight, 16),
      (log) => log.put(eight, of(eight, 7), 14),
      (log) => log.put(eight, new Uint8Array(16), 33),
      (log) => log.delete(eight),
      (log) => log.delete(of(eight, 3)),
    ];
    for (const lie of wrong) {
      const { forest, tree, fileSystem } = await planted(0);
      await tree.put(5, 5);
      await forest.transaction((tx) => tx.tree(tree).put(6, 6));
      const real = ChangeLog.prototype.put;
      vi.spyOn(ChangeLog.prototype, 'put').mockImplementationOnce(function (this: ChangeLog) {
        lie(this);
      });
      await tree.put(7, 7);
      expect(ChangeLog.prototype.put).not.toBe(real);
      await forest.store.close();
      vi.restoreAllMocks();
      const again = await Forest.open('a.varve', { fileSystem });
      expect(() => again.tree('t', numbers).get(5)).toThrow(code('CORRUPT'));
      await again.close();
    }
  });
});

describe('roots that are made one', () => {
  const values = (id: bigint) => ({ id: id as GrainId, seal: 0 });

  it('tell all changes in their order, whatever their lengths are', () => {
    const lengths = fc.oneof(
      { arbitrary: fc.nat(300), weight: 20 },
      { arbitrary: fc.nat(20_000), weight: 1 },
    );
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 40, maxLength: 90 }), (all) => {
        const stored = { catalog: emptyRoot, shares: emptyRoot };
        const first = {
          stored,
          roots: [values(1n)],
          changes: [],
          gone: [],
          goneBytes: 0,
          goneValues: [],
          goneValueBytes: 0,
          kept: [],
        };
        const most = { logBytes: 2 ** 30, memoryBytes: 2 ** 30 };
        const sizes = () => ({ values: 9, archivedValues: 0, valueBytes: 9e9 });
        const journal = new Journal(first, most, sizes);
        // What the store has: the root that wrote nodes, and what each later one tells.
        const roots = new Map<bigint, { place: Place; told: readonly TreeChanges[] }>();
        for (const [at, length] of all.entries()) {
          const logs = [{ tree: `${at}`, log: new Uint8Array(length) }];
          const entry = { needsNodes: false, logBytes: length, changes: 1, logs };
          const whole = {
            ...entry,
            gone: [],
            goneBytes: 2 ** 30,
            goneValues: [],
            goneValueBytes: 0,
          };
          if (!journal.takes(whole)) break;
          const place = journal.place(whole);
          const root = values(BigInt(at + 2));
          roots.set(root.id, { place, told: place.changes });
          for (const { id } of place.replaced) expect(roots.delete(id)).toBe(true);
          journal.told(whole, place, root);
          const found: string[] = [];
          let depth = journal.roots.length - 1;
          for (let id: bigint = root.id; id !== 1n; depth -= 1) {
            const one = roots.get(id);
            expect(one?.place.depth).toBe(depth);
            found.unshift(...(one?.told ?? []).map(({ tree }) => tree));
            id = one?.place.earlier?.id as bigint;
          }
          expect(found).toEqual(Array.from({ length: at + 1 }, (_, number) => `${number}`));
          expect(roots.size).toBe(journal.roots.length - 1);
        }
      }),
    );
  });

  it('leave out one that is not short', async () => {
    const { tree, crash } = await planted(20_000);
    for (let key = 1; key < 3; key++) await tree.put(key, 1);
    await Promise.all(Array.from({ length: 520 }, (_, at) => tree.put(at * 70 + 3, at)));
    for (let at = 0; at < 17; at++) await tree.put(at * 1000 + 7, at);
    const count = tree.count();
    const again = await crash();
    expect(again.tree('t', numbers).count()).toBe(count);
    await endSound(again);
  });
});

describe('beside other users of the store', () => {
  it('a root that they put another value in the place of is not built upon', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open('a.varve', { fileSystem });
    const forest = await Forest.on(store);
    const tree = forest.tree('t', numbers);
    await forest.transaction((tx) => {
      for (let key = 0; key < 3000; key++) tx.tree(tree).put(key * 10, key);
    });
    await tree.put(1, 1);
    await store.updateEmbeddedHeader((session, current) => {
      if (current !== undefined) session.archive(current);
      return session.push(Uint8Array.of(1, 2, 3));
    });
    await tree.put(3, 3);
    await tree.put(5, 5);
    await forest.transaction((tx) => tx.fork('t', 'u'));
    await tree.put(7, 7);
    await forest.close();
    await store.close();
    const again = await Forest.open('a.varve', { fileSystem });
    expect([...again.tree('t', numbers).keys({ gt: 0, lt: 10 })]).toEqual([1, 3, 5, 7]);
    await endSound(again);
  });
});

describe('closing', () => {
  it('fails if logged changes cannot be written for a reason other than the disk', async () => {
    const { forest, tree, fileSystem } = await planted(300);
    await tree.put(1, 1);
    const wrong = new VarveError('VARVE_NOT_FOUND', 'made for the test');
    vi.spyOn(Session.prototype, 'commit').mockRejectedValueOnce(wrong);
    await expect(forest.close()).rejects.toBe(wrong);
    const again = await Forest.open('a.varve', { fileSystem });
    expect(again.tree('t', numbers).get(1)).toBe(1);
    const full = new VarveError('VARVE_IO', 'the disk is full');
    await again.tree('t', numbers).put(2, 2);
    vi.spyOn(Session.prototype, 'commit').mockRejectedValueOnce(full);
    await again.close();
    const last = await Forest.open('a.varve', { fileSystem });
    expect(last.tree('t', numbers).get(2)).toBe(2);
    await endSound(last);
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
          doAgain(log.bytes, {
            put: (key, value, word) => again.push({ key, value, word }),
            delete: (key) => again.push({ key }),
          });
          expect(again).toEqual(told);
        }
      }),
    );
  });

  it('is VARVE_CORRUPT or some changes, whatever its bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        let taken = 0;
        const take = (key: Uint8Array, value?: Uint8Array): void => {
          taken += key.length + (value?.length ?? 0);
        };
        try {
          doAgain(bytes, { put: take, delete: take });
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

  it('changes that wait are sealed, and an older root in the place of one is refused', async () => {
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
