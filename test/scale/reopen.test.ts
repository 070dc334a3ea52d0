/**
 * Opening a store with many values: what it reads of the file is bounded, and does not grow with
 * the values, whether the store was closed or not.
 *
 * It counts reads and bytes, never time. A million values and ten million are for the scripts
 * (`npm run scale`); here are as many as a few seconds allow.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store, type StoreOptions } from '../../src/index.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import {
  check,
  contentOf,
  overwrite,
  present,
  storePath,
  storesOfTest,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const valuesPerCommit = 100;
/** Small, so that the small store too is settled many times over. */
const options: StoreOptions = { settleBytes: 32 * 1024 };

const words = new Uint32Array(25);

/** A hundred bytes; the same memory each time. */
function contentOfValue(number: number): Uint8Array {
  for (let at = 0; at < words.length; at += 1) words[at] = Math.imul(number + at, 0x9e3779b1);
  return new Uint8Array(words.buffer);
}

interface Loaded {
  readonly ids: readonly GrainId[];
  /** The file as the last commit left it, and as `close` did. */
  readonly unclosed: Uint8Array;
  readonly closed: Uint8Array;
}

async function load(values: number): Promise<Loaded> {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(storePath, { ...options, fileSystem });
  const ids: GrainId[] = [];
  while (ids.length < values) {
    const session = store.session();
    for (let count = 0; count < valuesPerCommit; count += 1) {
      ids.push(session.push(contentOfValue(ids.length)));
    }
    session.commitSync();
  }
  const unclosed = await contentOf(fileSystem);
  await store.close();
  return { ids, unclosed, closed: await contentOf(fileSystem) };
}

interface Reads {
  readonly count: number;
  readonly bytes: number;
}

/** What opening the file reads, once every value has been found in it. */
async function readsAtOpen(
  file: Uint8Array,
  ids: readonly GrainId[],
  clean: boolean,
): Promise<Reads> {
  const disk = new WrappedFileSystem(memoryFileSystem());
  await overwrite(disk.inner, file);
  const store = await stores.open(storePath, { ...options, create: false, fileSystem: disk });
  const reads = disk.calls.filter(({ operation }) => operation === 'read');
  expect(store.recovery.clean).toBe(clean);
  expect(store.statistics().values).toBe(ids.length);
  const wrong = ids.findIndex(
    (id, number) => Buffer.compare(present(store.get(id)), contentOfValue(number)) !== 0,
  );
  expect(wrong, 'first value that differs').toBe(-1);
  await check.sound(store);
  await store.close();
  return { count: reads.length, bytes: reads.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** No more than that, and no more than the store of a tenth of the values, but for its luck. */
function expectBounded(many: Reads, few: Reads, bound: Reads): void {
  expect(many.count).toBeLessThanOrEqual(bound.count);
  expect(many.bytes).toBeLessThanOrEqual(bound.bytes);
  expect(many.count).toBeLessThanOrEqual(few.count + bound.count / 4);
  expect(many.bytes).toBeLessThanOrEqual(few.bytes + bound.bytes / 4);
}

describe('opening a store of a hundred thousand values over a thousand commits', () => {
  it('reads no more than of ten thousand values, closed or not', async () => {
    const few = await load(10_000);
    const many = await load(100_000);
    expectBounded(
      await readsAtOpen(many.closed, many.ids, true),
      await readsAtOpen(few.closed, few.ids, true),
      { count: 16, bytes: 192 * 1024 },
    );
    // The log since the last settle is read too, with the mark pages that it touches.
    expectBounded(
      await readsAtOpen(many.unclosed, many.ids, false),
      await readsAtOpen(few.unclosed, few.ids, false),
      { count: 512, bytes: 256 * 1024 },
    );
  });
});
