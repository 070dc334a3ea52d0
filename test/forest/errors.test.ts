/**
 * What a forest refuses, and that nothing is half done then.
 *
 * Invariant: each test checks the code of the error and the state after it. Damage of stored nodes
 * is in the tests that damage the file.
 */

import { describe, expect, it } from 'vitest';
import { type Codec, codecs, Forest, reducers } from '../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { code, endSound, findingsOf } from '../support/fixtures/forest-checks.ts';

const numbers = { key: codecs.uint, value: codecs.uint };

describe('a tree', () => {
  it('made with other codecs, another reducer or not versioned is not opened', async () => {
    const fileSystem = memoryFileSystem();
    let forest = await Forest.open('a.varve', { fileSystem });
    const reducer = reducers.count();
    await forest.tree('t', { ...numbers, reducer, versioned: true }).put(1, 1);
    const asked = [
      { ...numbers, reducer, versioned: true, key: codecs.f64 },
      { ...numbers, reducer, versioned: true, value: codecs.f64 },
      { ...numbers, reducer: reducers.max<number, number>((_k, v) => v), versioned: true },
      { ...numbers, versioned: true },
      { ...numbers, reducer },
    ];
    for (const reopened of [false, true]) {
      if (reopened) {
        await forest.close();
        forest = await Forest.open('a.varve', { fileSystem });
      }
      for (const options of asked) {
        expect(() => forest.tree<number, number, number>('t', options)).toThrow(
          code('TREE_MISMATCH'),
        );
      }
      expect(() => forest.tree('t')).toThrow(code('TREE_MISMATCH'));
      expect(forest.tree('t', { ...numbers, reducer, versioned: true }).get(1)).toBe(1);
    }
    await endSound(forest);
  });

  it('asked for with two sets of codecs before its first change is refused the second time', async () => {
    const forest = await Forest.inMemory();
    forest.tree('t', numbers);
    expect(() => forest.tree('t')).toThrow(code('TREE_MISMATCH'));
    expect(forest.names()).toEqual([]);
    await endSound(forest);
  });

  it('that was dropped may be made with other codecs', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    await tree.put(1, 1);
    await forest.transaction((tx) => tx.drop('t'));
    const other = forest.tree('t', { key: codecs.utf8, value: codecs.utf8 });
    await other.put('a', 'b');
    expect(() => tree.get(1)).toThrow(code('TREE_MISMATCH'));
    await expect(tree.put(1, 1)).rejects.toEqual(code('TREE_MISMATCH'));
    expect(other.get('a')).toBe('b');
    await endSound(forest);
  });

  it('is not versioned unless it is asked to be', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    expect(() => tree.changes()).toThrow(code('TREE_MISMATCH'));
    expect(() => tree.lastSequence).toThrow(code('TREE_MISMATCH'));
    const trimming = forest.transaction((tx) => tx.tree(tree).trimHistory(1));
    await expect(trimming).rejects.toEqual(code('TREE_MISMATCH'));
    await endSound(forest);
  });
});

describe('codecs', () => {
  it('that throw leave the tree as it was, and the transaction may go on', async () => {
    const forest = await Forest.inMemory();
    const cause = new Error('cannot');
    const picky: Codec<number> = {
      name: 'picky',
      encode(value) {
        if (value < 0) throw cause;
        if (value === 0) return 'no bytes' as unknown as Uint8Array;
        return new Uint8Array([value]);
      },
      decode(bytes) {
        if (bytes[0] === 99) throw cause;
        return bytes[0] as number;
      },
    };
    const tree = forest.tree('t', { key: codecs.uint, value: picky });
    await expect(tree.put(1, -1)).rejects.toEqual(
      expect.objectContaining({ code: 'VARVE_CODEC', cause }),
    );
    await expect(tree.put(1, 0)).rejects.toEqual(code('CODEC'));
    await forest.transaction((tx) => {
      const writing = tx.tree(tree);
      writing.put(1, 1);
      expect(() => writing.put(1, -1)).toThrow(code('CODEC'));
      writing.put(2, 99);
    });
    expect(tree.get(1)).toBe(1);
    expect(() => tree.get(2)).toThrow(code('CODEC'));
    expect(tree.has(2)).toBe(true);
    await endSound(forest);
  });

  it('of a fixed length that give another length are refused', async () => {
    const forest = await Forest.inMemory();
    const short: Codec<number> = {
      name: 'short',
      byteLength: 4,
      encode: () => new Uint8Array(3),
      decode: () => 0,
    };
    await expect(forest.tree('t', { value: short }).put(new Uint8Array(1), 1)).rejects.toEqual(
      code('CODEC'),
    );
    await endSound(forest);
  });

  it('and reducers that throw fail the transaction, whatever its body does then', async () => {
    const forest = await Forest.inMemory();
    const reducer = reducers.sum<number, number>((_key, value) => {
      if (value === 13) throw new Error('unlucky');
      return value;
    });
    const tree = forest.tree('t', { ...numbers, reducer });
    const both = forest.tree('other', numbers);
    await forest.transaction((tx) => {
      for (let key = 0; key < 3000; key++) tx.tree(tree).put(key, 1);
    });
    const failing = forest.transaction((tx) => {
      tx.tree(both).put(1, 1);
      tx.tree(tree).put(7, 13);
    });
    await expect(failing).rejects.toEqual(code('CODEC'));
    expect([tree.get(7), tree.reduce(), both.count()]).toEqual([1, 3000, 0]);
    await endSound(forest);
  });

  it('are objects with a name and two functions', async () => {
    const forest = await Forest.inMemory();
    const wrong = [{}, { name: 'x' }, 'u64', null, { ...codecs.uint, byteLength: -1 }];
    for (const codec of wrong) {
      expect(() => forest.tree('t', { key: codec as never })).toThrow(code('INVALID_ARGUMENT'));
      expect(() => forest.tree('t', { value: codec as never })).toThrow(code('INVALID_ARGUMENT'));
    }
    expect(() => forest.tree('t', { reducer: {} as never })).toThrow(code('INVALID_ARGUMENT'));
    expect(() => forest.tree(7 as never)).toThrow(code('INVALID_ARGUMENT'));
    await endSound(forest);
  });
});

describe('arguments', () => {
  it('that are no keys, ranges, names or bodies are refused', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    const bytes = forest.tree('b');
    const refused = code('INVALID_ARGUMENT');
    await expect(tree.put(-1, 1)).rejects.toEqual(refused);
    await expect(bytes.put('a' as never, new Uint8Array(1))).rejects.toEqual(refused);
    expect(() => tree.get('a' as never)).toThrow(refused);
    expect(() => tree.range({ gt: 1, gte: 1 })).toThrow(refused);
    expect(() => tree.range({ lt: 1, lte: 1 })).toThrow(refused);
    expect(() => tree.count({ gt: 1.5 })).toThrow(refused);
    expect(() => tree.range({ limit: -1 })).toThrow(refused);
    expect(() => tree.range(null as never)).toThrow(refused);
    expect(() => tree.range({ reverse: 1 as never })).toThrow(refused);
    await expect(forest.transaction(null as never)).rejects.toEqual(refused);
    expect(() => forest.transactionSync('a' as never)).toThrow(refused);
    expect(() => forest.onCommit(1 as never)).toThrow(refused);
    await expect(forest.transaction((tx) => tx.tree({} as never))).rejects.toEqual(refused);
    await expect(forest.transaction((tx) => tx.fork(1 as never, 'a'))).rejects.toEqual(refused);
    expect(() => forest.snapshot().tree({} as never)).toThrow(refused);
    const options = [
      { nodeBytes: 10 },
      { nodeCacheBytes: -1 },
      { checkpoint: 'no' },
      { vault: {} },
      { vault: { name: 'a', seal: () => 1, open: () => 1, overheadBytes: -1 } },
    ];
    for (const wrong of options) {
      await expect(Forest.inMemory(wrong as never)).rejects.toEqual(refused);
    }
    await expect(Forest.on({} as never)).rejects.toEqual(refused);
    expect(forest.store.currentBatch).toBe(0);
    await endSound(forest);
  });
});

describe('a forest', () => {
  it('is refused if the embedded header is not the root of a forest', async () => {
    const store = await Store.inMemory();
    await store.updateEmbeddedHeader((session) => session.push(new Uint8Array(100).fill(7)));
    await expect(Forest.on(store)).rejects.toEqual(code('NOT_A_FOREST'));
    await store.updateEmbeddedHeader((session) => session.push(new Uint8Array(0)));
    await expect(Forest.on(store)).rejects.toEqual(code('NOT_A_FOREST'));
    await store.close();
  });

  it('keeps its root: neither a transaction nor a session of the store can archive it', async () => {
    const store = await Store.inMemory();
    const forest = await Forest.on(store);
    const tree = forest.tree('t', numbers);
    await tree.put(1, 1);
    const root = store.embeddedHeader as GrainId;
    const refused = code('INVALID_ARGUMENT');
    await forest.transaction((tx) => {
      expect(() => tx.archive(root)).toThrow(refused);
      tx.tree(tree).put(2, 2);
    });
    const session = store.session();
    expect(() => session.archive(store.embeddedHeader as GrainId)).toThrow(refused);
    session.abandon();
    await tree.put(3, 3);
    await forest.store.checkpointTo(store.currentBatch);
    expect([...tree.keys()]).toEqual([1, 2, 3]);
    expect(await findingsOf(forest)).toEqual([]);
    await expect(Forest.on(store)).rejects.toEqual(code('BUSY'));
    await forest.close();
    const again = await Forest.on(store);
    expect([...again.tree('t', numbers).keys()]).toEqual([1, 2, 3]);
    await again.close();
    await store.close();
  });

  it.each([3, 5])('of another version, %i, is refused', async (version) => {
    const store = await Store.inMemory();
    const root = new Uint8Array(40);
    root.set(new TextEncoder().encode('varve forest\n'));
    root[13] = version;
    await store.updateEmbeddedHeader((session) => session.push(root));
    await expect(Forest.on(store)).rejects.toEqual(code('UNSUPPORTED_VERSION'));
    await store.close();
  });

  it('opened read-only is read and not written', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem });
    await forest.tree('t', numbers).put(1, 1);
    await forest.close();
    const reading = await Forest.open('a.varve', { fileSystem, readOnly: true });
    const tree = reading.tree('t', numbers);
    expect(tree.get(1)).toBe(1);
    await expect(tree.put(1, 2)).rejects.toEqual(code('READ_ONLY'));
    expect(() => reading.transactionSync(() => 1)).toThrow(code('READ_ONLY'));
    expect(await findingsOf(reading)).toEqual([]);
    await reading.close();
  });

  it('that is closed refuses every call except another close', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', numbers);
    await Promise.all([tree.put(1, 1), tree.put(5, 5)]);
    const iterator = tree.range();
    iterator.next();
    const snapshot = forest.snapshot();
    const under = tree.put(2, 2);
    const closing = forest.close();
    await expect(tree.put(3, 3)).rejects.toEqual(code('CLOSED'));
    await under;
    await closing;
    await forest.close();
    const closed = code('CLOSED');
    expect(() => tree.get(1)).toThrow(closed);
    expect(() => iterator.next()).toThrow(closed);
    expect(() => snapshot.tree(tree)).toThrow(closed);
    expect(() => forest.names()).toThrow(closed);
    expect(() => forest.tree('u')).toThrow(closed);
    expect(() => forest.snapshot()).toThrow(closed);
    expect(() => forest.onCommit(() => undefined)).toThrow(closed);
    expect(() => forest.transactionSync(() => 1)).toThrow(closed);
    await expect(tree.getAsync(1)).rejects.toEqual(closed);
    await expect(findingsOf(forest)).rejects.toEqual(closed);
  });
});
