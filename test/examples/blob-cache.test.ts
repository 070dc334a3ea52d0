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
import { expectSameBytes, inChunks, patternOf } from '../support/bytes.ts';
import { powerCut, restarted } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { code, expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';
import { compareWithModel, cutPower, failCalls, type Model, type Trial } from './trials.ts';

/** Both ways of putting are after reads of blobs, whose uses they store with the blob. */
type Change =
  | { readonly do: 'put' | 'stream'; readonly blob: number; readonly read?: readonly number[] }
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
        if (change.do === 'flush') return await cache.flush();
        const data = dataOf(change.blob);
        if (change.do === 'put') return await cache.put(data);
        return await cache.putStream(inChunks(data, 100), data.length);
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
  fc.record({ do: fc.constantFrom('put' as const, 'stream' as const), blob, read }),
  fc.record({ do: fc.constant('flush' as const), read }),
);
/**
 * Reads see what is durable, and streams end in any order: in a group of several changes there are
 * only puts.
 */
const group = fc.oneof(
  any.map((change): Change[] => [change]),
  fc.array(putOnly, { minLength: 2, maxLength: 8 }),
);

/** Fills the cache, and again with other blobs, after uses that change the order. */
const history: Change[][] = [
  [1, 2, 3].map((number) => ({ do: 'put', blob: number })),
  [{ do: 'stream', blob: 4, read: [1, 2] }],
  [
    { do: 'put', blob: 5 },
    { do: 'put', blob: 5 },
    { do: 'put', blob: 6 },
    { do: 'put', blob: 1 },
  ],
  [{ do: 'flush', read: [5, 6, 9, 5] }],
  [{ do: 'put', blob: 7 }],
  [{ do: 'stream', blob: 7 }],
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
        const last = dataOf((at * 11) % 12);
        if (at % 2 === 0) await cache.put(last);
        else await cache.putStream(inChunks(last, 300), last.length);
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

  it('streams large blobs, and leaves nothing of one when the power is cut before its commit', async () => {
    const disk = new SimulatedDisk();
    const open = async (fileSystem: FileSystem) => {
      const forest = await Forest.open('cache', { ...settings, fileSystem });
      return { forest, cache: new BlobCache(forest, { bytesMax: 2_000_000 }) };
    };
    const { forest, cache } = await open(disk);
    const small = await cache.put(dataOf(1));
    const first = disk.operations.length;
    const data = patternOf(900_000);
    const large = await cache.putStream(inChunks(data, 70_000), data.length);
    const again = await cache.putStream(inChunks(data, 50_000), data.length);
    expect(again).toBe(large);
    const found = [];
    for await (const chunk of cache.stream(large) ?? []) found.push(chunk);
    expectSameBytes(Buffer.concat(found), data);
    expect(cache.names()).toEqual([small, large]);
    await expectNoLeak(forest, 2);
    await forest.close();

    const lengths = new Set<number>();
    for (const state of [...disk.before.slice(first), disk.state]) {
      const cut = powerCut(state, (unit) => unit % 2 === 0);
      const killed = await open(new SimulatedDisk({ state: restarted(cut), records: false }));
      const names = killed.cache.names();
      lengths.add(names.length);
      expect(names).toEqual([small, large].slice(0, names.length));
      if (names.length > 1) expectSameBytes((await killed.cache.get(large)) ?? data.slice(1), data);
      expect(await findingsOf(killed.forest)).toEqual([]);
      await expectNoLeak(killed.forest, names.length);
      await killed.forest.close();
    }
    expect([...lengths]).toEqual([1, 2]);
  });

  it('leaves nothing of a stream that fails, is too short or too long', async () => {
    const forest = await Forest.inMemory();
    const cache = new BlobCache(forest, { bytesMax: 2_000_000 });
    await cache.put(dataOf(1));
    const failing = async function* () {
      yield new Uint8Array(700_000);
      throw new Error('the line is down');
    };
    await expect(cache.putStream(failing(), 800_000)).rejects.toThrow('the line is down');
    const data = patternOf(700_000);
    for (const length of [data.length - 1, data.length + 1]) {
      await expect(cache.putStream(inChunks(data), length)).rejects.toEqual(
        code('INVALID_ARGUMENT'),
      );
    }
    await expect(cache.putStream(inChunks(data), 2_000_001)).rejects.toThrow(RangeError);
    expect(cache.names()).toEqual([nameOf(1)]);
    await expectNoLeak(forest, 1);
    await forest.close();
  });

  it('gives the space of a stream back that it does not keep', async () => {
    const forest = await Forest.inMemory();
    const cache = new BlobCache(forest, { bytesMax: 2_000_000 });
    const data = patternOf(900_000);
    const put = async (length = data.length) => await cache.putStream(inChunks(data), length);
    const name = await put();
    expect(await put()).toBe(name);
    const { fileBytes } = forest.store.statistics();
    for (let time = 0; time < 5; time += 1) {
      expect(await put()).toBe(name);
      await expect(put(data.length + 1)).rejects.toEqual(code('INVALID_ARGUMENT'));
    }
    expect(forest.store.statistics().fileBytes).toBe(fileBytes);
    await expectNoLeak(forest, 1);
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
