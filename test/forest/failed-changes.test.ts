/**
 * Changes that fail: they change nothing, not even what they share with others, and they hold up
 * nobody.
 *
 * The rule: whatever a change checks or reads comes before the first thing that it changes.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest } from '../../src/forest/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import { code, endSound, findingsOf } from '../support/fixtures/forest-checks.ts';
import { settled } from '../support/fixtures/store-checks.ts';

const numbers = { key: codecs.u32, value: codecs.u32 };

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a put that cannot read a node, beside another put of the same commit', () => {
  it('changes nothing: the tree stays, and nothing of it is archived', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const open = () =>
      Forest.open('f', { fileSystem: disk, nodeBytes: 512, cacheBytes: 1_000_000 });
    let forest = await open();
    let a = forest.tree('a', numbers);
    await forest.transaction((tx) => {
      for (let key = 0; key < 1000; key++) tx.tree(a).put(key, key);
    });
    await forest.close();
    forest = await open();
    a = forest.tree('a', numbers);
    const b = forest.tree('b', numbers);
    await b.put(1, 1);
    // The root is in memory, the leaf of key 500 is not.
    a.get(0);
    const other = b.put(2, 2);
    const fault = disk.fail('read', 'EIO');
    const failed = a.put(500, 7);
    fault.stop();
    await expect(failed).rejects.toThrow(code('IO'));
    await other;
    expect(await findingsOf(forest)).toEqual([]);
    await forest.close();
    forest = await open();
    for (let i = 0; i < 20; i++) await forest.tree('b', numbers).put(i, i);
    expect([...forest.tree('a', numbers).values()]).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    await endSound(forest);
  });

  it('fails alone at every read, with the smallest caches', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const caches = { cacheBytes: 0, nodeCacheBytes: 0 };
    const forest = await Forest.open('f', { fileSystem: disk, nodeBytes: 512, ...caches });
    const trees = ['a', 'b', 'c'].map((name) => forest.tree(name, numbers));
    const model = trees.map(() => new Map<number, number>());
    await forest.transaction((tx) => {
      for (const [at, tree] of trees.entries()) {
        for (let key = 0; key < 400; key++) {
          tx.tree(tree).put(key, key);
          model[at]?.set(key, key);
        }
      }
    });
    let refused = 0;
    for (let round = 0; round < 60; round++) {
      let reads = 0;
      const fault = disk.fail('read', 'EIO', { when: () => reads++ === round % 7 });
      const puts = trees.map((tree, at) => {
        const [key, value] = [(round * 37 + at * 11) % 400, round * 10 + at];
        return tree.put(key, value).then(
          () => model[at]?.set(key, value),
          (error: unknown) => {
            expect(error).toEqual(code('IO'));
            refused += 1;
          },
        );
      });
      fault.stop();
      await Promise.all(puts);
      for (const [at, tree] of trees.entries()) {
        expect(new Map(tree.range())).toEqual(model[at]);
      }
    }
    expect(refused).toBeGreaterThan(10);
    await endSound(forest);
  });
});

describe('a read that fails while a commit is decided on', () => {
  it('ends no transaction and blocks none', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const small = { nodeBytes: 512, cacheBytes: 0 };
    const forest = await Forest.open('f', { fileSystem: disk, ...small });
    const many = forest.tree('many', numbers);
    const blobs = forest.tree('blobs', { key: codecs.u32 });
    await forest.transaction((tx) => {
      for (let key = 0; key < 20_000; key++) tx.tree(many).put(key, key);
      for (let key = 0; key < 5; key++) tx.tree(blobs).put(key, new Uint8Array(5000));
    });
    // Much is left to be freed before the next commit that writes nodes.
    await forest.transaction((tx) => tx.tree(many).deleteRange({ gte: 10, lt: 19_000 }));
    let isUnderWay = false;
    const body = forest.transaction(async (tx) => {
      tx.tree(blobs).put(1, new Uint8Array(6000));
      isUnderWay = true;
      await turns(3);
    });
    const fault = disk.fail('read', 'EIO', { when: () => isUnderWay, times: 2 });
    const told = await Promise.allSettled([body, blobs.put(2, new Uint8Array(7000))]);
    fault.stop();
    for (const one of told) if (one.status === 'rejected') expect(one.reason).toEqual(code('IO'));
    await blobs.put(3, new Uint8Array(8000));
    expect((blobs.get(3) as Uint8Array).length).toBe(8000);
    await endSound(forest);
  });
});

describe('a transaction that has pushed and fails when the store accepts no more commits', () => {
  const pushed = new Uint8Array(10);

  it.each(['closed', 'poisoned'] as const)(
    'settles, and later transactions do too (%s)',
    async (how) => {
      const disk = new WrappedFileSystem(memoryFileSystem());
      const store = await Store.open('s', { fileSystem: disk });
      const forest = await Forest.on(store);
      const failing = forest.transaction(async (tx) => {
        tx.push(pushed);
        await turns(20);
        throw new Error('the body throws');
      });
      const behind = forest.transaction(() => undefined);
      const told = Promise.allSettled([failing, behind]);
      await turns(2);
      if (how === 'closed') await store.close();
      else {
        disk.fail('datasync', 'EIO');
        await expect(store.put(pushed)).rejects.toThrow(code('POISONED'));
      }
      const [one, two] = await settled(told);
      expect(one).toMatchObject({ reason: { message: 'the body throws' } });
      expect(two).toMatchObject({ reason: { code: `VARVE_${how.toUpperCase()}` } });
      await forest.close();
      await store.close();
    },
  );

  it('settles if its body succeeds', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const before = forest.transaction((tx) => tx.tree(tree).put(1, 1));
    const pushing = forest.transaction(async (tx) => {
      tx.push(pushed);
      await turns(20);
    });
    const told = Promise.allSettled([pushing]);
    await before;
    await turns(2);
    await forest.store.close();
    expect(await told).toMatchObject([{ reason: { code: 'VARVE_CLOSED' } }]);
    await forest.close();
  });
});

describe('a body', () => {
  it('whose result throws when it is read fails alone', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const strict = new Proxy(
      {},
      {
        get() {
          throw new Error('no such field');
        },
      },
    );
    await expect(
      forest.transaction((tx) => {
        tx.tree(tree).put(1, 1);
        return strict;
      }),
    ).rejects.toThrow('no such field');
    expect(() => forest.transactionSync(() => strict)).toThrow('no such field');
    await tree.put(2, 2);
    expect([...tree.keys()]).toEqual([2]);
    await endSound(forest);
  });

  it('that throws leaves no refused write to the next', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const forest = await Forest.open('f', { fileSystem: disk });
    const tree = forest.tree('t', { key: codecs.u32 });
    await tree.put(0, new Uint8Array(1));
    const failing = forest.transaction((tx) => {
      // Longer than what waits in memory: it is written ahead of the commit.
      const fault = disk.fail('write', 'ENOSPC');
      tx.tree(tree).put(1, new Uint8Array(2_000_000));
      fault.stop();
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await tree.put(2, new Uint8Array(1));
    expect([...tree.keys()]).toEqual([0, 2]);
    await endSound(forest);
  });

  it('that throws releases the memory of its puts', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', { key: codecs.u32 });
    await tree.put(0, new Uint8Array(1));
    const held = (): number => process.memoryUsage().arrayBuffers / 2 ** 20;
    const before = held();
    for (let i = 0; i < 100; i++) {
      const failing = forest.transaction((tx) => {
        tx.tree(tree).put(1, new Uint8Array(600_000));
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
    }
    // Each held a slab of 1 MiB; what is not collected yet may count, a third at most.
    expect(held() - before).toBeLessThan(100 * 0.7 + 30);
    await endSound(forest);
  });
});
