/**
 * What an opening makes of logged changes: in their order, beside other users of the store, and if
 * something of them is damaged or missing.
 *
 * Invariant: here a crash is a store that is closed under an open forest.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { VarveError } from '../../../src/errors.ts';
import { codecs, Forest } from '../../../src/forest/index.ts';
import { ChangeLog } from '../../../src/forest/journal/change-log.ts';
import { encodeForestRoot, encodeSealedRoot } from '../../../src/forest/journal/forest-root.ts';
import { emptyRoot } from '../../../src/forest/nodes/node.ts';
import { type GrainId, memoryFileSystem, Session, Store } from '../../../src/index.ts';
import { code, endSound, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { numbers, planted, words } from '../../support/fixtures/planted-forest.ts';

afterEach(() => vi.restoreAllMocks());

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

describe('changes that cannot be replayed', () => {
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
    const trees = { catalog: emptyRoot, shares: emptyRoot };
    const root = { ...trees, nextSeal: 1, pending: [], written: [], listed: 0, changes: [] };
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

describe('roots of many lengths', () => {
  it('are replayed in their order', async () => {
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
  it('a root that they have replaced by another value is not linked to', async () => {
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
