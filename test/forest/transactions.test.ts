/**
 * Transactions of a forest: atomic over trees, alone among writers, durable in groups.
 *
 * Invariant: each test says one sentence of the contract, on stores whose syncs and values are
 * counted. What a power cut leaves is in `crash.test.ts`; random histories are in `model.test.ts`.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type Tree } from '../../src/forest/index.ts';
import { memoryFileSystem, type Store } from '../../src/index.ts';
import { code, endSound, expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };

async function withTree(): Promise<{ forest: Forest; tree: Tree<number, number, undefined> }> {
  const forest = await Forest.inMemory();
  return { forest, tree: forest.tree('numbers', numbers) };
}

describe('a transaction', () => {
  it('changes several trees at once, and returns the result of its body', async () => {
    const { forest, tree } = await withTree();
    const words = forest.tree('words', { key: codecs.utf8, value: codecs.json<string[]>() });
    const told = await forest.transaction((tx) => {
      tx.tree(tree).put(1, 10);
      tx.tree(words).put('a', ['b']);
      expect(tree.get(1)).toBe(undefined);
      return tx.tree(tree).get(1);
    });
    expect(told).toBe(10);
    expect([tree.get(1), words.get('a')]).toEqual([10, ['b']]);
    expect(forest.names()).toEqual(['numbers', 'words']);
    await endSound(forest);
  });

  it('leaves nothing if its body throws, and rejects with the same error', async () => {
    const { forest, tree } = await withTree();
    await tree.put(1, 1);
    const error = new Error('no');
    const failing = forest.transaction((tx) => {
      tx.tree(tree).put(1, 2);
      tx.tree(tree).put(2, 2);
      tx.fork('numbers', 'other');
      tx.push(new Uint8Array(5000));
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    expect([...tree.range()]).toEqual([[1, 1]]);
    expect(forest.names()).toEqual(['numbers']);
    await endSound(forest);
  });

  it('runs alone, on the state that those before it left, durable or not', async () => {
    const { forest, tree } = await withTree();
    const seen: (number | undefined)[] = [];
    let goOn = (): void => undefined;
    const slow = forest.transaction(async (tx) => {
      tx.tree(tree).put(1, 1);
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      tx.tree(tree).put(1, 2);
    });
    const next = forest.transaction((tx) => {
      seen.push(tx.tree(tree).get(1));
      tx.tree(tree).put(1, 3);
    });
    const last = tree.update(1, (current) => {
      seen.push(current);
      return 4;
    });
    expect(seen).toEqual([]);
    goOn();
    await Promise.all([slow, next, last]);
    expect(seen).toEqual([2, 3]);
    expect(tree.get(1)).toBe(4);
    await endSound(forest);
  });

  it('whose body awaits does not hold up the durability of those before it', async () => {
    const { forest, tree } = await withTree();
    const before = tree.put(1, 1);
    let goOn = (): void => undefined;
    const slow = forest.transaction(async (tx) => {
      const id = tx.push(new Uint8Array(3000));
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      tx.tree(tree).put(2, 2);
      return id;
    });
    await before;
    expect([tree.get(1), tree.get(2)]).toEqual([1, undefined]);
    goOn();
    const id = await slow;
    expect([tree.get(2), forest.store.get(id)?.length]).toEqual([2, 3000]);
    expect(await findingsOf(forest)).toEqual([]);
    await expectNoLeak(forest, 1);
    await forest.close();
  });

  it('in flight during other commits frees its pushed values if it fails', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem });
    const tree = forest.tree('numbers', numbers);
    const before = tree.put(1, 1);
    let fail = (): void => undefined;
    const slow = forest.transaction(async (tx) => {
      tx.push(new Uint8Array(3000));
      tx.fork('numbers', 'fork');
      await new Promise<void>((_resolve, reject) => {
        fail = () => reject(new Error('late'));
      });
    });
    await before;
    fail();
    await expect(slow).rejects.toThrow('late');
    await tree.put(2, 2);
    expect(forest.names()).toEqual(['numbers']);
    await endSound(forest);
  });

  it('cannot be used after its end', async () => {
    const { forest, tree } = await withTree();
    let kept: Parameters<Parameters<Forest['transaction']>[0]>[0] | undefined;
    let iterator: IterableIterator<[number, number]> | undefined;
    await forest.transaction((tx) => {
      kept = tx;
      tx.tree(tree).put(1, 1);
      tx.tree(tree).put(2, 2);
      iterator = tx.tree(tree).range();
      iterator.next();
    });
    const ended = code('TRANSACTION_ENDED');
    expect(() => kept?.tree(tree)).toThrow(ended);
    expect(() => kept?.push(new Uint8Array(1))).toThrow(ended);
    expect(() => iterator?.next()).toThrow(ended);
    await endSound(forest);
  });

  it('sees in an iterator the state at its creation, whatever it changes then', async () => {
    const { forest, tree } = await withTree();
    await forest.transaction((tx) => {
      const writing = tx.tree(tree);
      for (let key = 0; key < 3000; key++) writing.put(key, key);
      let expected = 0;
      for (const [key, value] of writing.range()) {
        expect([key, value]).toEqual([expected, expected]);
        expected += 1;
        writing.put(key, -1 + 1);
        writing.delete(key + 1);
      }
      expect(expected).toBe(3000);
    });
    await endSound(forest);
  });
});

describe('transactions together', () => {
  it('of one key each, a thousand at once, share a handful of syncs and write a node once', async () => {
    const { forest, tree } = await withTree();
    await forest.transaction((tx) => {
      for (let key = 0; key < 100_000; key++) tx.tree(tree).put(key * 2, key);
    });
    const before = forest.store.statistics();
    const puts = Array.from({ length: 1000 }, (_, at) => tree.put(at * 2 + 1, at));
    const batches = new Set(await Promise.all(puts));
    const after = forest.store.statistics();
    expect(batches.size).toBeLessThanOrEqual(2);
    expect(after.syncs - before.syncs).toBeLessThanOrEqual(3);
    // The leaves of 2,000 neighbouring keys and what is above them, not a node for each.
    let allocated = 0;
    for await (const { batch, changes } of forest.store.commitLog()) {
      if (!batches.has(batch)) continue;
      allocated += changes.filter(({ operation }) => operation === 'allocate').length;
    }
    expect(allocated).toBeGreaterThan(0);
    expect(allocated).toBeLessThan(30);
    await endSound(forest);
  });

  it('fail together if their commit does, and leave the durable state', async () => {
    const disk = memoryFileSystem();
    let failing = false;
    const fileSystem: typeof disk = {
      async open(path, options) {
        const file = await disk.open(path, options);
        return Object.assign(Object.create(file) as typeof file, {
          writeSync(chunks: readonly Uint8Array[], position: number) {
            if (failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
            file.writeSync(chunks, position);
          },
          async write(chunks: readonly Uint8Array[], position: number) {
            if (failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
            await file.write(chunks, position);
          },
          length: () => file.length(),
          readSync: file.readSync.bind(file),
          read: file.read.bind(file),
          truncate: file.truncate.bind(file),
          truncateSync: file.truncateSync.bind(file),
          datasync: file.datasync.bind(file),
          datasyncSync: file.datasyncSync.bind(file),
          close: file.close.bind(file),
        });
      },
    };
    const forest = await Forest.open('a.varve', { fileSystem });
    const tree = forest.tree('numbers', numbers);
    await tree.put(1, 1);
    failing = true;
    const results = await Promise.allSettled([tree.put(1, 2), tree.put(2, 2), tree.delete(1)]);
    const reasons = results.map((result) => (result.status === 'rejected' ? result.reason : 'ok'));
    for (const reason of reasons) expect(reason).toBe(reasons[0]);
    expect([...tree.range()]).toEqual([[1, 1]]);
    failing = false;
    const state = await tree.put(3, 3).then(
      () => 'goes on',
      (error: { code: string }) => error.code,
    );
    expect(['goes on', 'VARVE_POISONED']).toContain(state);
    await forest.close();
    const again = await Forest.open('a.varve', { fileSystem });
    const same = again.tree('numbers', numbers);
    expect(same.get(1)).toBe(1);
    await endSound(again);
  });
});

describe('a synchronous transaction', () => {
  it('is durable when it returns, and returns the result of its body', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem });
    const tree = forest.tree('numbers', numbers);
    const { syncs } = forest.store.statistics();
    expect(forest.transactionSync((tx) => tx.tree(tree).put(1, 7))).toBe(undefined);
    expect(forest.transactionSync((tx) => tx.tree(tree).get(1))).toBe(7);
    expect(tree.get(1)).toBe(7);
    expect(forest.store.statistics().syncs - syncs).toBe(1);
    const error = new Error('no');
    const failing = (): never => {
      throw error;
    };
    expect(() => forest.transactionSync(failing)).toThrow(error);
    await endSound(forest);
  });

  it('is busy while another is under way, before its body runs', async () => {
    const { forest, tree } = await withTree();
    const put = tree.put(1, 1);
    let ran = false;
    const sync = (): void => {
      forest.transactionSync(() => {
        ran = true;
      });
    };
    expect(sync).toThrow(code('BUSY'));
    expect(ran).toBe(false);
    await put;
    sync();
    expect(ran).toBe(true);
    await endSound(forest);
  });

  it('takes no body that returns a promise', async () => {
    const { forest, tree } = await withTree();
    const run = (): unknown =>
      forest.transactionSync(async (tx) => {
        tx.tree(tree).put(1, 1);
      });
    expect(run).toThrow(code('INVALID_ARGUMENT'));
    expect(tree.count()).toBe(0);
    await endSound(forest);
  });
});

describe('values of the user', () => {
  it('are committed and archived with the transaction', async () => {
    const { forest, tree } = await withTree();
    const id = await forest.transaction((tx) => {
      tx.tree(tree).put(1, 1);
      return tx.push(new Uint8Array([1, 2, 3]));
    });
    expect(forest.store.get(id)).toEqual(new Uint8Array([1, 2, 3]));
    await expect(
      forest.transaction((tx) => {
        tx.archive(id);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await forest.transaction((tx) => {
      tx.archive(id);
      expect(() => tx.archive(id)).toThrow(code('ALREADY_ARCHIVED'));
      const own = tx.push(new Uint8Array(10));
      tx.archive(own);
    });
    const again = forest.transaction((tx) => tx.archive(id));
    await expect(again).rejects.toEqual(code('ALREADY_ARCHIVED'));
    await endSound(forest);
  });

  it('pushed by one transaction may be archived by the next, durable or not', async () => {
    const { forest } = await withTree();
    let id: Parameters<Store['get']>[0] | undefined;
    const first = forest.transaction((tx) => {
      id = tx.push(new Uint8Array(2000));
    });
    const second = forest.transaction((tx) => tx.archive(id as NonNullable<typeof id>));
    await Promise.all([first, second]);
    await endSound(forest);
  });
});
