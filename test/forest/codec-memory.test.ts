/**
 * Codecs that encode into memory that they use again, and bytes of other realms or of none.
 *
 * Rule: nothing holds an encoding across another call of a codec, unless the memory is its own.
 * Every test uses one piece of memory for all codecs, so that a breach is seen at once.
 */

import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type Codec, codecs, Forest, type KeyCodec, type Tree } from '../../src/forest/index.ts';
import { code, endSound } from '../support/fixtures/forest-checks.ts';

const shared = new Uint8Array(64);

function write(value: number): Uint8Array {
  shared.fill(0xee);
  new DataView(shared.buffer).setFloat64(0, value);
  return shared.subarray(0, 8);
}

function read(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
}

/** Numbers from 0 sort as their bytes do. */
const fixed: KeyCodec<number> = {
  name: 'fixed',
  ordered: true,
  byteLength: 8,
  encode: write,
  decode: read,
};
const loose: KeyCodec<number> = { ...fixed, name: 'loose', byteLength: undefined };
/** Bytes that the program itself keeps in the memory of the codecs. */
const given = { key: codecs.bytes, value: fixed };

const some = [1, 2, 3, 5, 8, 13];
const entries = some.map((key) => [key, key * 100]);

describe.each([
  ['of one length', fixed],
  ['of any length', loose],
])('one codec %s for keys and values, with one buffer for all encodings', (_, codec) => {
  async function filled() {
    const forest = await Forest.inMemory({ nodeBytes: 500 });
    const reducer = {
      name: 'sum',
      map: (_key: number, value: number) => value,
      reduce: (parts: readonly number[]) => parts.reduce((sum, part) => sum + part, 0),
      encode: write,
      decode: read,
    };
    const tree = forest.tree('t', { key: codec, value: codec, reducer, versioned: true });
    return { forest, tree };
  }

  it('stores the values that were put, one by one and together', async () => {
    const { forest, tree } = await filled();
    await Promise.all(some.map((key) => tree.put(key, key * 100)));
    expect([...tree.range()]).toEqual(entries);
    await forest.transaction((tx) => {
      for (let key = 100; key < 400; key++) tx.tree(tree).put(key, key + 1);
    });
    for (let key = 100; key < 400; key++) expect(tree.get(key)).toBe(key + 1);
    expect(tree.reduce({ gte: 100, lt: 400 })).toBe((300 * (101 + 400)) / 2);
    await endSound(forest);
  });

  it('finds both bounds of a range', async () => {
    const { forest, tree } = await filled();
    await Promise.all(some.map((key) => tree.put(key, key * 100)));
    const range = { gt: 1, lt: 8 };
    expect([...tree.keys(range)]).toEqual([2, 3, 5]);
    const found: number[] = [];
    for await (const [key] of tree.rangeAsync({ gte: 2, lte: 8 })) found.push(key);
    expect(found).toEqual([2, 3, 5, 8]);
    expect(tree.count(range)).toBe(3);
    expect(await forest.transaction((tx) => tx.tree(tree).deleteRange(range))).toBe(3);
    expect([...tree.keys()]).toEqual([1, 8, 13]);
    await endSound(forest);
  });

  it('updates, deletes and reads the key of the call, however late', async () => {
    const { forest, tree } = await filled();
    const slow = forest.transaction(async () => await Promise.resolve());
    const all = Promise.all([
      tree.put(1, 100),
      tree.put(2, 200),
      tree.update(3, () => 300),
      tree.update(2, (value) => (value ?? 0) + 1),
      tree.delete(1),
      slow,
    ]);
    await all;
    expect([...tree.range()]).toEqual([
      [2, 201],
      [3, 300],
    ]);
    expect(await Promise.all([tree.getAsync(2), tree.getAsync(3)])).toEqual([201, 300]);
    expect([...tree.changes()].map(({ key, value }) => [key, value])).toEqual([
      [1, 100],
      [2, 200],
      [3, 300],
      [2, 201],
      [1, undefined],
    ]);
    await endSound(forest);
  });

  it('works as every part of a tuple', async () => {
    const forest = await Forest.inMemory();
    const inner = codecs.tuple(codec, codecs.bytes, codec);
    const tree = forest.tree('t', { key: codecs.tuple(codec, inner, codec), value: codec });
    const bytes = new Uint8Array([0, 1]);
    await tree.put([1, [2, bytes, 3], 4], 5);
    expect([...tree.range()]).toEqual([[[1, [2, bytes, 3], 4], 5]]);
    await endSound(forest);
  });
});

describe('bytes that are given', () => {
  it('are the key also if the codec of the value overwrites their memory', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', given);
    await tree.put(write(1), 10);
    await forest.transaction((tx) => tx.tree(tree).put(write(2), 20));
    expect([...tree.range()].map(([key, value]) => [read(key), value])).toEqual([
      [1, 10],
      [2, 20],
    ]);
    await endSound(forest);
  });

  it('are those of the call if a codec begins a transaction that awaits', async () => {
    const forest = await Forest.inMemory();
    let slow: Promise<void> | undefined;
    const value: Codec<number> = {
      ...fixed,
      encode(number) {
        slow ??= forest.transaction(async () => await Promise.resolve());
        return write(number);
      },
    };
    const tree = forest.tree('t', { key: codecs.bytes, value });
    const key = new Uint8Array([1]);
    const put = tree.put(key, 10);
    key[0] = 2;
    await Promise.all([put, slow]);
    expect([...tree.range()]).toEqual([[new Uint8Array([1]), 10]]);
    await endSound(forest);
  });

  it('may be of another realm, as keys, as values, as bounds and from a codec', async () => {
    const forest = await Forest.inMemory();
    const foreign = (...bytes: number[]): Uint8Array =>
      runInNewContext(`new Uint8Array([${bytes.join()}])`) as Uint8Array;
    const abroad: Codec<number> = {
      name: 'abroad',
      encode: (value) => foreign(value),
      decode: (bytes) => bytes[0] as number,
    };
    const tree = forest.tree('t');
    const numbers = forest.tree('n', { value: abroad });
    await tree.put(foreign(1), foreign(2, 3));
    await numbers.put(foreign(1), 4);
    expect([...tree.range({ gte: foreign(1) })]).toEqual([
      [new Uint8Array([1]), new Uint8Array([2, 3])],
    ]);
    expect(numbers.get(foreign(1))).toBe(4);
    await endSound(forest);
  });

  it('whose memory was transferred are refused, and nothing is stored or left', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t');
    const gone = new Uint8Array([1]);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    await tree.put(new Uint8Array([1]), new Uint8Array([1]));
    const before = forest.store.currentBatch;
    const beside = tree.put(new Uint8Array([2]), new Uint8Array([2]));
    const refused = code('INVALID_ARGUMENT');
    await expect(tree.put(new Uint8Array([1]), gone)).rejects.toEqual(refused);
    await expect(tree.put(gone, new Uint8Array([1]))).rejects.toEqual(refused);
    await expect(forest.transaction((tx) => tx.tree(tree).put(gone, gone))).rejects.toEqual(
      refused,
    );
    await expect(tree.delete(gone)).rejects.toEqual(refused);
    expect(() => tree.get(gone)).toThrow(refused);
    expect(() => tree.count({ gte: gone })).toThrow(refused);
    await beside;
    expect(forest.store.currentBatch).toBe(before + 1);
    expect([...tree.values()]).toEqual([new Uint8Array([1]), new Uint8Array([2])]);
    await endSound(forest);
  });

  it('from a codec that are transferred or missing are VARVE_CODEC', async () => {
    const forest = await Forest.inMemory();
    const gone = new Uint8Array([1]);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    for (const [at, bytes] of [gone, 'text', [1], undefined, new Uint16Array(1)].entries()) {
      const value = { name: 'odd', encode: () => bytes as Uint8Array, decode: () => 1 };
      const tree = forest.tree(`t${at}`, { value });
      await expect(tree.put(new Uint8Array([1]), 1)).rejects.toEqual(code('CODEC'));
      const reducer = { ...value, map: () => 1, reduce: () => 1 };
      const open = () => forest.tree(`r${at}`, { reducer });
      expect(open).toThrow(code('CODEC'));
    }
    await endSound(forest);
  });
});

describe('a codec that reads its own tree', () => {
  it('by keys of a built-in codec does not change the key of the put', async () => {
    const forest = await Forest.inMemory();
    const curious: Codec<number> = {
      name: 'curious',
      byteLength: 1,
      encode(value) {
        tree.get(77);
        tree.has(78);
        tree.count({ lt: 79 });
        return new Uint8Array([value]);
      },
      decode: (bytes) => bytes[0] as number,
    };
    const tree: Tree<number, number, undefined> = forest.tree('t', {
      key: codecs.uint,
      value: curious,
    });
    await Promise.all([tree.put(5, 5), tree.put(6, 6)]);
    await forest.transaction((tx) => {
      tx.tree(tree).put(7, 7);
      tx.tree(tree).put(4, 4);
    });
    await tree.update(8, () => 8);
    expect([...tree.keys()]).toEqual([4, 5, 6, 7, 8]);
    await endSound(forest);
  });
});

describe('the parts of a tuple', () => {
  it('are key codecs', () => {
    const tuple = codecs.tuple as (...parts: unknown[]) => unknown;
    for (const part of [undefined, null, {}, codecs.json(), { ...fixed, ordered: false }]) {
      expect(() => tuple(codecs.uint, part)).toThrow(code('INVALID_ARGUMENT'));
    }
  });
});
