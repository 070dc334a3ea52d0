/**
 * The codec of JSON: what it takes comes back equal, and it takes nothing else.
 *
 * Invariant: the property is held for values that JSON has and for any others, so that both a
 * value changed silently and one refused needlessly are found.
 */

import { isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codecs, Forest } from '../../src/forest/index.ts';
import { code, endSound } from '../support/fixtures/forest-checks.ts';

const json = codecs.json<unknown>();

function back(value: unknown): unknown {
  return json.decode(json.encode(value));
}

class Person {
  readonly name = 'Ada';
}

class Named extends Array<number> {}

const circle: { a?: unknown[] } = {};
circle.a = [1, { inner: circle }];

/** [why, the value, the place that the message says] */
const refused: readonly (readonly [string, unknown, string])[] = [
  ['undefined', undefined, 'value'],
  ['a property that is undefined', { a: { b: undefined } }, 'value.a.b'],
  ['NaN', { n: Number.NaN }, 'value.n'],
  ['an infinity', [1, Number.NEGATIVE_INFINITY], 'value[1]'],
  ['-0', { list: [{ 'a b': -0 }] }, 'value.list[0]["a b"]'],
  ['a hole', [1, new Array(2)], 'value[1][0]'],
  ['a bigint', { big: 1n }, 'value.big'],
  ['a symbol', [Symbol('s')], 'value[0]'],
  ['a function', { f: () => 1 }, 'value.f'],
  ['a date', { at: new Date(0) }, 'value.at'],
  ['a map', { m: new Map([[1, 2]]) }, 'value.m'],
  ['a set', [new Set([1])], 'value[0]'],
  ['bytes', { b: new Uint8Array(2) }, 'value.b'],
  ['a buffer', { b: Buffer.from('ab') }, 'value.b'],
  ['an instance of a class', { p: new Person() }, 'value.p'],
  ['an instance of a class of arrays', [new Named(1, 2)], 'value[0]'],
  ['a number in an object', [Object(1)], 'value[0]'],
  ['a regular expression', { r: /a/ }, 'value.r'],
  ['an error', [new Error('e')], 'value[0]'],
  ['a promise', Promise.resolve(1), 'value'],
  ['an object with toJSON', { a: { toJSON: () => 1 } }, 'value.a'],
  ['an object whose prototype has properties', Object.create({ a: 1 }), 'value'],
  ['a property whose name is a symbol', { a: { [Symbol('s')]: 1 } }, 'value.a'],
  ['a hidden property', [Object.defineProperty({}, 'a', { value: 1 })], 'value[0]'],
  ['an array with a property', { m: 'abc'.match(/b/) }, 'value.m'],
  ['an array with a symbol', Object.assign([1], { [Symbol('s')]: 1 }), 'value'],
  ['a cycle', { top: circle }, 'value.top.a[1].inner'],
];

describe('json refuses, naming the place and the reason,', () => {
  it.each(refused)('%s', (_, value, place) => {
    expect(() => json.encode(value)).toThrow(code('CODEC'));
    expect(() => json.encode(value)).toThrow(`json would not give back ${place}: it is `);
  });

  it('text that cannot be parsed or is too deep, with the cause', () => {
    const thrown = new Error('no such field');
    const getter = {
      get a(): never {
        throw thrown;
      },
    };
    expect(() => json.encode(getter)).toThrow(
      expect.objectContaining({ code: 'VARVE_CODEC', cause: thrown }) as Error,
    );
    let deep: unknown = 1;
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    expect(() => json.encode(deep)).toThrow(code('CODEC'));
  });

  it('the value of a put or an update, and the tree stays as it was', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', { key: codecs.utf8, value: json });
    await tree.put('a', 1);
    await expect(tree.put('a', { at: new Date(0) })).rejects.toEqual(code('CODEC'));
    await expect(tree.update('a', () => Number.NaN)).rejects.toEqual(code('CODEC'));
    await forest.transaction((tx) => {
      expect(() => tx.tree(tree).put('a', undefined)).toThrow(code('CODEC'));
      tx.tree(tree).put('b', 2);
    });
    expect([...tree.range()]).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
    await endSound(forest);
  });
});

describe('json accepts', () => {
  it.each([
    ['half of a surrogate pair, as text and as a name', { '\udc00': 'a\ud800' }],
    ['a property that is named __proto__', JSON.parse('{"a":{"__proto__":{"b":1}}}')],
    ['a toJSON that is no function', { toJSON: 1 }],
    ['numbers of any size', [Number.MAX_VALUE, 5e-324, 2 ** 53 + 2, -1e-7]],
    ['an object that is there twice', ((one) => [one, one])({ a: [1] })],
    ['a value of a hundred and fifty levels', JSON.parse('['.repeat(150) + ']'.repeat(150))],
  ])('%s', (_, value) => {
    expect(isDeepStrictEqual(back(value), value)).toBe(true);
  });

  it('objects of another realm, and those without a prototype', () => {
    const foreign = runInNewContext('({ a: [1, { b: null }], c: "d" })') as unknown;
    expect(back(foreign)).toEqual({ a: [1, { b: null }], c: 'd' });
    const bare = Object.assign(Object.create(null), { a: 1 }) as unknown;
    expect(back(bare)).toEqual({ a: 1 });
    const date = runInNewContext('({ at: new Date(0), m: new Map() })') as unknown;
    expect(() => json.encode(date)).toThrow(code('CODEC'));
  });
});

describe('json', () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    withBoxedValues: true,
    withUnicodeString: true,
  });

  it('returns an equal value for each that it accepts, and refuses the rest with VARVE_CODEC', () => {
    let taken = 0;
    fc.assert(
      fc.property(anything, (value) => {
        let stored: Uint8Array;
        try {
          stored = json.encode(value);
        } catch (error) {
          expect(error).toEqual(code('CODEC'));
          return;
        }
        taken += 1;
        expect(isDeepStrictEqual(json.decode(stored), value)).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it('accepts every value of JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // A parsed value is what JSON has: -0 is text that JSON.stringify does not write.
        const parsed: unknown = JSON.parse(JSON.stringify(value));
        expect(isDeepStrictEqual(back(parsed), parsed)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
