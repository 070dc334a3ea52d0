/**
 * Defects that a review of the forest found, each as it was repeated.
 *
 * Invariant: every test failed before its mending; what it guards stands in its name. New ones of
 * the kind go here, shrunk.
 */

import { describe, expect, it, vi } from 'vitest';
import { type Codec, codecs, Forest, reducers, type Tree } from '../../src/forest/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { code, endSound, findingsOf } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };
const words = { key: codecs.utf8, value: codecs.utf8 };

describe('the height of a tree', () => {
  it('grows with the logarithm of its entries, however long its separators are', async () => {
    const fileSystem = memoryFileSystem();
    const prefix = 'x'.repeat(5000);
    let forest = await Forest.open('a.varve', { fileSystem });
    await forest.transaction((tx) => {
      const tree = tx.tree(forest.tree('long', words));
      for (let at = 0; at < 280; at++) tree.put(`${prefix}${at}`, 'y');
    });
    expect(forest.store.statistics().values).toBeLessThan(800);
    await forest.close();
    forest = await Forest.open('a.varve', { fileSystem });
    const tree = forest.tree('long', words);
    for (let at = 0; at < 280; at++) expect(tree.get(`${prefix}${at}`)).toBe('y');
    await forest.transaction((tx) => tx.tree(tree).deleteRange({ gte: `${prefix}2` }));
    await endSound(forest);
  });

  it('is small if nodes are small and keys of one length are long', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500 });
    const wide: Codec<number> & { ordered: true } = {
      name: 'wide',
      byteLength: 300,
      ordered: true,
      encode: (value) => new Uint8Array(300).fill(1).map((one, at) => (at === 299 ? value : one)),
      decode: (bytes) => bytes[299] as number,
    };
    const tree = forest.tree('t', { key: wide, value: codecs.u32, versioned: true });
    for (let at = 0; at < 250; at++) await tree.put(at, at);
    expect([...tree.changes()].length).toBe(250);
    const { values, archivedValues } = forest.store.statistics();
    expect(values - archivedValues).toBeLessThan(900);
    await endSound(forest);
  });
});

describe('a synchronous transaction', () => {
  it('refuses puts that its body begins outside of it, and continues', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const puts: Promise<unknown>[] = [];
    forest.transactionSync((tx) => {
      tx.tree(tree).put(1, 1);
      puts.push(tree.put(2, 2));
    });
    const failing = (): unknown =>
      forest.transactionSync(() => {
        puts.push(tree.put(3, 3));
        throw new Error('no');
      });
    expect(failing).toThrow('no');
    const busy = { status: 'rejected', reason: code('BUSY') };
    expect(await Promise.allSettled(puts)).toEqual([busy, busy]);
    expect([...tree.keys()]).toEqual([1]);
    forest.transactionSync((tx) => tx.tree(tree).put(4, 4));
    await endSound(forest);
  });
});

describe('the durable state', () => {
  it('is not freed by others before the next one is known to be durable', async () => {
    const store = await Store.inMemory({ cacheBytes: 0 });
    const forest = await Forest.on(store, { checkpoint: 'manual', nodeCacheBytes: 0 });
    const tree = forest.tree('t', words);
    const key = (at: number): string => String(at).padStart(4, '0');
    await forest.transaction((tx) => {
      for (let at = 0; at < 2000; at++) tx.tree(tree).put(key(at), 'v'.repeat(20));
    });
    let seen = 0;
    // The batch is durable then, and the forest has not been told of it yet.
    const afterwards = (): void => {
      const freeing = store.session();
      freeing.checkpointTo(store.currentBatch);
      try {
        freeing.commitSync();
      } catch (error) {
        // The forest's own commit came later: there is nothing to see.
        expect(error).toEqual(code('BUSY'));
        freeing.abandon();
        return;
      }
      seen += 1;
      const filling = store.session();
      for (let at = 0; at < 30; at++) filling.push(new Uint8Array(3000).fill(7));
      filling.commitSync();
      for (let at = 0; at < 2000; at += 50) expect(tree.has(key(at))).toBe(true);
      expect(tree.count()).toBe(2000);
    };
    for (let round = 0; round < 20; round++) {
      const session = store.session();
      session.push(new Uint8Array(10));
      const others = session.commit().then(afterwards);
      const changing = forest.transaction((tx) => {
        for (let at = 0; at < 2000; at += 20) tx.tree(tree).put(key(at), `r${round}`);
      });
      await Promise.all([others, changing]);
    }
    expect(seen).toBeGreaterThan(0);
    expect(await findingsOf(forest)).toEqual([]);
    await forest.close();
    await store.close();
  });
});

describe('a cache of nodes with next to no room', () => {
  it('reads evicted nodes again, without an endless loop', async () => {
    const forest = await Forest.inMemory({ nodeCacheBytes: 0 });
    const one = forest.tree('one', words);
    await one.put('x', '1');
    const snapshot = forest.snapshot();
    await forest.transaction((tx) => tx.drop('one'));
    const other = forest.tree('other');
    expect(snapshot.tree(other).get(new Uint8Array(1))).toBe(undefined);
    expect(snapshot.tree(one).get('x')).toBe('1');
    snapshot.release();
    await endSound(forest);
  });
});

describe('results', () => {
  it('that are transferred to another thread leave later reads as they are', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t');
    await tree.put(new Uint8Array([1]), new Uint8Array([2, 3]));
    const value = tree.get(new Uint8Array([1])) as Uint8Array<ArrayBuffer>;
    structuredClone(value, { transfer: [value.buffer] });
    expect(tree.get(new Uint8Array([1]))).toEqual(new Uint8Array([2, 3]));
    await endSound(forest);
  });
});

describe('reads that outlive their transaction', () => {
  it('reject with VARVE_TRANSACTION_ENDED, and never report damage', async () => {
    const forest = await Forest.inMemory({ nodeCacheBytes: 0, nodeBytes: 500 });
    const tree = forest.tree('t', numbers);
    const late: Promise<PromiseSettledResult<unknown>[]>[] = [];
    for (let round = 0; round < 30; round++) {
      await forest.transaction((tx) => {
        const writing = tx.tree(tree);
        late.push(Promise.allSettled([writing.getAsync(7), writing.rangeAsync().next()]));
        for (let key = 0; key < 200; key++) writing.put(key, round);
      });
    }
    for (const result of (await Promise.all(late)).flat()) {
      if (result.status === 'rejected') expect(result.reason).toEqual(code('TRANSACTION_ENDED'));
    }
    await endSound(forest);
  });
});

describe("a user's function that commits in the middle of a read", () => {
  it('changes no result of the read', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500 });
    let commits = false;
    const reducer = reducers.sum<number, number>((_key, value) => {
      if (commits) {
        commits = false;
        forest.transactionSync((tx) => {
          for (let key = 0; key < 300; key++) tx.tree(plain).put(key, 5);
        });
        commits = true;
      }
      return value;
    });
    const tree = forest.tree('t', { ...numbers, reducer });
    const plain: Tree<number, number, number> = tree;
    await forest.transaction((tx) => {
      for (let key = 0; key < 300; key++) tx.tree(tree).put(key, 1);
    });
    commits = true;
    const found = tree.reduce({ gte: 1, lt: 20 });
    commits = false;
    expect([19, 19 * 5]).toContain(found);
    await endSound(forest);
  });
});

describe('arguments', () => {
  it('of changes are whole numbers', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', { ...numbers, versioned: true });
    await Promise.all([tree.put(1, 1), tree.put(2, 2), tree.put(3, 3)]);
    expect(() => tree.changes({ limit: 1.5 })).toThrow(code('INVALID_ARGUMENT'));
    expect(forest.store.statistics().oldestGuard).toBe(undefined);
    await endSound(forest);
  });

  it('of update are taken at the call', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', { value: codecs.uint, key: codecs.bytes });
    const key = new Uint8Array([1]);
    const slow = forest.transaction(async () => await Promise.resolve());
    const updated = tree.update(key, () => 7);
    key[0] = 2;
    await Promise.all([slow, updated]);
    expect([...tree.range()]).toEqual([[new Uint8Array([1]), 7]]);
    await endSound(forest);
  });

  it("do not get mixed up if a value's codec reads the tree", async () => {
    const forest = await Forest.inMemory();
    const curious: Codec<number> = {
      name: 'curious',
      encode(value) {
        tree.get(77);
        return new Uint8Array([value]);
      },
      decode: (bytes) => bytes[0] as number,
    };
    const tree: Tree<number, number, undefined> = forest.tree('t', {
      key: codecs.uint,
      value: curious,
    });
    await tree.put(5, 5);
    await forest.transaction((tx) => tx.tree(tree).put(6, 6));
    expect([...tree.range()]).toEqual([
      [5, 5],
      [6, 6],
    ]);
    await endSound(forest);
  });
});

describe('listeners', () => {
  it('get the commits in order, though one of them commits', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const told: number[] = [];
    let once = true;
    forest.onCommit(() => {
      if (once) {
        once = false;
        forest.transactionSync((tx) => tx.tree(tree).put(2, 2));
      }
    });
    forest.onCommit(({ batch }) => told.push(batch));
    forest.transactionSync((tx) => tx.tree(tree).put(1, 1));
    expect(told).toEqual([1, 2]);
    await endSound(forest);
  });
});

describe('closing', () => {
  it('archives the values that a failed transaction had left in the file', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem });
    const tree = forest.tree('t', numbers);
    const before = tree.put(1, 1);
    let fail = (): void => undefined;
    const slow = forest.transaction(async (tx) => {
      tx.push(new Uint8Array(3000));
      await new Promise<void>((_resolve, reject) => {
        fail = () => reject(new Error('late'));
      });
    });
    await before;
    fail();
    await expect(slow).rejects.toThrow('late');
    await forest.close();
    const again = await Forest.open('a.varve', { fileSystem });
    await endSound(again);
  });
});

describe('a put that is refused before it has changed anything', () => {
  it('leaves no trace by which a later transaction is undone', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500, nodeCacheBytes: 0, cacheBytes: 0 });
    const tree = forest.tree('t', numbers);
    await forest.transaction((tx) => {
      for (let key = 0; key < 500; key++) tx.tree(tree).put(key * 10, key);
    });
    vi.spyOn(Store.prototype, 'get').mockImplementationOnce(() => {
      throw new Error('no read');
    });
    await expect(tree.put(1, 1)).rejects.toThrow('no read');
    forest.transactionSync((tx) => tx.tree(tree).put(3, 3));
    await tree.put(5, 5);
    expect([...tree.keys({ gt: 0, lt: 10 })]).toEqual([3, 5]);
    await endSound(forest);
  });

  it('does not make a later fork lose its nodes', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500 });
    const tree = forest.tree('t', numbers);
    await tree.put(1, 1);
    await forest.transaction((tx) => tx.drop('t'));
    await forest.tree('t', words).put('a', 'a');
    const big = forest.tree('big', numbers);
    await forest.transaction((tx) => {
      for (let key = 0; key < 500; key++) tx.tree(big).put(key, key);
    });
    await expect(tree.put(1, 1)).rejects.toEqual(code('TREE_MISMATCH'));
    forest.transactionSync((tx) => tx.fork('big', 'copy'));
    await forest.tree('x', numbers).put(1, 1);
    await endSound(forest);
  });
});

describe('a codec of the user that commits', () => {
  it('does not take the state away from the read that calls it', async () => {
    let commits: (() => void) | undefined;
    const key = {
      name: 'committing',
      ordered: true as const,
      encode(value: number) {
        const commit = commits;
        commits = undefined;
        commit?.();
        return codecs.uint.encode(value);
      },
      decode: (bytes: Uint8Array) => codecs.uint.decode(bytes),
    };
    const forest = await Forest.inMemory({ nodeBytes: 1000 });
    const tree = forest.tree('t', { key, value: codecs.uint });
    await forest.transaction((tx) => {
      for (let at = 0; at < 1000; at++) tx.tree(tree).put(at * 10, at);
    });
    const range = { gte: 1, lt: 20 };
    const reads: readonly (() => unknown)[] = [
      () => tree.get(1),
      () => tree.has(1),
      () => tree.getAsync(1),
      () => tree.count(range),
      () => [...tree.range(range)],
      async () => {
        for await (const _entry of tree.rangeAsync(range));
      },
    ];
    for (const [at, read] of reads.entries()) {
      await tree.put(1, at);
      commits = () => forest.transactionSync((tx) => tx.tree(tree).put(2, at));
      await read();
      expect(tree.get(2)).toBe(at);
    }
    await endSound(forest);
  });
});

describe('a put that fails', () => {
  it('is not reported to listeners as a change of its tree', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 500, nodeCacheBytes: 0, cacheBytes: 0 });
    const [one, other] = [forest.tree('one', numbers), forest.tree('other', numbers)];
    for (const tree of [one, other]) {
      await forest.transaction((tx) => {
        for (let key = 0; key < 500; key++) tx.tree(tree).put(key * 10, key);
      });
    }
    const told: (readonly string[])[] = [];
    forest.onCommit(({ trees }) => told.push(trees));
    const put = one.put(1, 1);
    vi.spyOn(Store.prototype, 'get').mockImplementationOnce(() => {
      throw new Error('no read');
    });
    await expect(other.put(1, 1)).rejects.toThrow('no read');
    await put;
    expect(told).toEqual([['one']]);
    await endSound(forest);
  });
});

describe('a small cache of nodes', () => {
  it('has room for nodes, however many were replaced at once', async () => {
    const forest = await Forest.inMemory({ nodeCacheBytes: 2 ** 22, journalBytes: 0 });
    const tree = forest.tree('t', numbers);
    const rewrite = (round: number): Promise<void> =>
      forest.transaction((tx) => {
        for (let key = 0; key < 60_000; key++) tx.tree(tree).put(key, round);
      });
    await rewrite(0);
    await Promise.all([1, 2, 3, 4, 5].map(rewrite));
    await tree.put(1, 1);
    const readAll = (): number => {
      for (let key = 0; key < 60_000; key += 100) tree.get(key);
      return forest.statistics().nodesRead;
    };
    expect(readAll()).toBe(readAll());
    await endSound(forest);
  });
});
