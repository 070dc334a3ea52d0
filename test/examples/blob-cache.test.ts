/**
 * The blob cache of examples/ beside a list in the order of use, with restarts, power cuts and
 * failing calls; and under many calls at once, where its limit and its sums hold at every commit.
 */

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlobCache } from '../../examples/blob-cache.mjs';
import { Forest } from '../../src/forest/index.ts';
import type { FileSystem } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';
import { compareWithModel, cutPower, failCalls, type Model, type Trial } from './trials.ts';

/** `put` is after reads of blobs, whose uses it stores with the blob. */
type Change =
  | { readonly do: 'put'; readonly blob: number; readonly read?: readonly number[] }
  | { readonly do: 'flush'; readonly read: readonly number[] };

const bytesMax = 2000;
/** The length is a function of the number, so that the same number is the same blob. */
const lengthOf = (blob: number): number => (blob * 331) % 1100;
const dataOf = (blob: number): Uint8Array => patternOf(lengthOf(blob), blob + 1);
const nameOf = (blob: number): string => createHash('sha256').update(dataOf(blob)).digest('hex');

class UseOrder implements Model<Change> {
  /** The least recently used first. */
  #blobs: number[] = [];

  apply(change: Change): unknown {
    for (const blob of change.read ?? []) this.#use(blob);
    if (change.do === 'flush') return undefined;
    this.#blobs = [...this.#blobs.filter((blob) => blob !== change.blob), change.blob];
    while (this.#bytes() > bytesMax) this.#blobs.shift();
    return nameOf(change.blob);
  }

  state(): unknown {
    return { names: this.#blobs.map(nameOf), bytes: this.#bytes() };
  }

  #use(blob: number): void {
    if (!this.#blobs.includes(blob)) return;
    this.#blobs = [...this.#blobs.filter((other) => other !== blob), blob];
  }

  #bytes(): number {
    return this.#blobs.reduce((sum, blob) => sum + lengthOf(blob), 0);
  }
}

const settings = { nodeBytes: 512, settleBytes: 8192, cacheBytes: 128 * 1024 };

/** Every entry has its bytes, the sum is right and within the limit. */
async function expectWhole(cache: BlobCache, blobs: readonly number[]): Promise<void> {
  const there = new Set(cache.names());
  expect(there.size).toBe(cache.names().length);
  let bytes = 0;
  for (const blob of blobs) {
    const data = await cache.get(nameOf(blob));
    expect(data !== undefined).toBe(there.delete(nameOf(blob)));
    if (data === undefined) continue;
    expect(Buffer.compare(data, dataOf(blob))).toBe(0);
    bytes += data.length;
  }
  expect(there.size).toBe(0);
  expect(cache.bytes).toBe(bytes);
  expect(bytes).toBeLessThanOrEqual(bytesMax);
}

const all = Array.from({ length: 12 }, (_, blob) => blob);

const trial: Trial<Change> = {
  model: () => new UseOrder(),
  async open(fileSystem: FileSystem) {
    const forest = await Forest.open('cache', { ...settings, fileSystem });
    const cache = new BlobCache(forest, { bytesMax });
    return {
      async run(change) {
        for (const blob of change.read ?? []) await cache.get(nameOf(blob));
        return change.do === 'put' ? await cache.put(dataOf(change.blob)) : await cache.flush();
      },
      state: () => ({ names: cache.names(), bytes: cache.bytes }),
      async check() {
        await expectWhole(cache, all);
        expect(await findingsOf(forest)).toEqual([]);
        await expectNoLeak(forest, cache.names().length);
      },
      close: async () => await forest.close(),
    };
  },
};

const blob = fc.nat(11);
const putOnly: fc.Arbitrary<Change> = fc.record({ do: fc.constant('put' as const), blob });
const read = fc.array(blob, { maxLength: 4 });
const any: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ do: fc.constant('put' as const), blob, read }),
  fc.record({ do: fc.constant('flush' as const), read }),
);
/** Reads see what is durable: in a group of several changes there are only puts. */
const group = fc.oneof(
  any.map((change): Change[] => [change]),
  fc.array(putOnly, { minLength: 2, maxLength: 8 }),
);

/** Fills the cache, and again with other blobs, after uses that change the order. */
const history: Change[][] = [
  [1, 2, 3].map((number) => ({ do: 'put', blob: number })),
  [{ do: 'put', blob: 4, read: [1, 2] }],
  [
    { do: 'put', blob: 5 },
    { do: 'put', blob: 5 },
    { do: 'put', blob: 6 },
    { do: 'put', blob: 1 },
  ],
  [{ do: 'flush', read: [5, 6, 9, 5] }],
  [{ do: 'put', blob: 7 }],
  [{ do: 'put', blob: 10, read: [1] }],
];

describe('examples/blob-cache.mjs', () => {
  it('removes the least recently used blobs, as a list in the order of use does', async () => {
    const property = fc.asyncProperty(
      fc.array(group, { minLength: 1, maxLength: 12 }),
      fc.nat(3),
      async (groups, every) => {
        await compareWithModel(trial, groups, (number) => every > 0 && number % every === 0);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it('has the state before or after a put when the power is cut, and takes no space besides', async () => {
    const bounds = { singles: 1, randoms: 1 };
    expect(await cutPower(trial, history, { bounds, stride: 2 })).toBeGreaterThan(40);
  });

  it.each([
    { kind: 'error', code: 'ENOSPC', done: 'nothing' } as const,
    { kind: 'error', code: 'EIO' } as const,
    { kind: 'sync', cache: 'dropped' } as const,
  ])('keeps what it has when a call of the disk fails: %o', async (fault) => {
    expect(await failCalls(trial, history, fault)).toBeGreaterThan(10);
  });

  it('holds its limit at every commit, while blobs are put and read at once', async () => {
    const forest = await Forest.inMemory({ nodeBytes: 512 });
    const cache = new BlobCache(forest, { bytesMax });
    const sizes: number[] = [];
    forest.onCommit(() => {
      sizes.push(cache.bytes);
      expect(new Set(cache.names()).size).toBe(cache.names().length);
    });
    const client = async (number: number): Promise<void> => {
      for (let at = number; at < 60; at += 3) {
        if (at % 3 === 0) await cache.put(dataOf((at * 7) % 12));
        const read = (at * 5) % 12;
        const data = await cache.get(nameOf(read));
        if (data !== undefined) expect(Buffer.compare(data, dataOf(read))).toBe(0);
        await cache.put(dataOf((at * 11) % 12));
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, number) => client(number)));
    expect(sizes.length).toBeGreaterThan(20);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(bytesMax);
    expect(Math.max(...sizes)).toBeGreaterThan(bytesMax / 2);
    await expectWhole(cache, all);
    await expectNoLeak(forest, cache.names().length);
    await forest.close();
  });

  it('refuses a blob that is larger than the whole cache, and keeps the others', async () => {
    const forest = await Forest.inMemory();
    const cache = new BlobCache(forest, { bytesMax: 10 });
    const name = await cache.put(new Uint8Array(10));
    await expect(cache.put(new Uint8Array(11))).rejects.toThrow(RangeError);
    expect(cache.names()).toEqual([name]);
    await forest.close();
  });

  it('removes blobs by flush when it is opened with a smaller limit', async () => {
    const forest = await Forest.inMemory();
    const cache = new BlobCache(forest, { bytesMax: 100 });
    const names = [await cache.put(new Uint8Array(40)), await cache.put(new Uint8Array(50))];
    await cache.get(names[0] as string);
    await cache.flush();
    const smaller = new BlobCache(forest, { bytesMax: 60 });
    await smaller.flush();
    expect(smaller.names()).toEqual([names[0]]);
    expect(smaller.bytes).toBe(40);
    await forest.close();
  });
});
