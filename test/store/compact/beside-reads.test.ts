/**
 * Reads that take several turns while maps move under them: streams, ranges, asynchronous reads,
 * backups, verification, of the writer and of a reader beside it. Each gives what it gave before, or
 * says that it cannot.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import { type FileSystem, type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { check } from '../../support/fixtures/store-checks.ts';
import { Random } from '../../support/random.ts';

const path = 'store';

type Values = Map<GrainId, Uint8Array>;

async function push(store: Store, values: Values, random: Random, count: number): Promise<void> {
  const session = store.session();
  for (let left = count; left > 0; left--) {
    const isLong = random.chance(0.05);
    const bytes = patternOf(isLong ? 70_000 + random.below(400_000) : random.below(3000), left);
    values.set(session.push(bytes), bytes);
  }
  await session.commit();
}

async function removeOldest(store: Store, values: Values, share: number): Promise<void> {
  const ids = [...values.keys()].slice(0, Math.floor(values.size * share));
  const session = store.session();
  for (const id of ids) {
    session.archive(id);
    values.delete(id);
  }
  session.checkpointTo(store.currentBatch);
  await session.commit();
  await store.checkpointTo(store.currentBatch);
}

async function bytesOf(stream: ReadableStream<Uint8Array> | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Reads everything, in every way that takes turns, again and again until `ended`. */
async function readAll(store: Store, values: Values, ended: () => boolean): Promise<number> {
  let gone = 0;
  const read = async (found: () => Promise<Uint8Array | undefined>, bytes: Uint8Array) => {
    try {
      expectSameBytes((await found()) as Uint8Array, bytes);
    } catch (error) {
      if (!store.readOnly || !isVarveError(error, 'VARVE_SNAPSHOT_GONE')) throw error;
      gone += 1;
    }
  };
  do {
    for (const [id, bytes] of values) {
      const middle = Math.floor(bytes.length / 2);
      // Reads in memory leave timers no turn.
      await nextTurn();
      await read(() => store.getAsync(id), bytes);
      await read(() => store.readRangeAsync(id, middle, bytes.length), bytes.subarray(middle));
      const options = { chunkBytes: 16_384 };
      await read(async () => bytesOf(store.createReadStream(id, options)), bytes);
    }
  } while (!ended());
  return gone;
}

async function expectCopy(files: FileSystem, copy: string, values: Values): Promise<void> {
  const store = await Store.open(copy, { fileSystem: files });
  for (const [id, bytes] of values) expectSameBytes(store.get(id) as Uint8Array, bytes);
  expect(store.statistics().values).toBe(values.size);
  await check.sound(store);
  await store.close();
}

it.each([1, 2, 3, 4])('reads and backups beside compactions are right: seed %i', async (seed) => {
  const random = new Random(seed);
  const fileSystem = memoryFileSystem();
  const store = await Store.open(path, { fileSystem, cacheBytes: seed % 2 === 0 ? 0 : undefined });
  const values: Values = new Map();
  for (let round = 0; round < 4; round++) {
    for (let batch = 0; batch < 6; batch++) await push(store, values, random, 40);
    await removeOldest(store, values, 0.6);
    let isCompacted = false;
    const compacting = store.compact({ bytesPerSecond: 200_000_000 }).finally(() => {
      isCompacted = true;
    });
    const copy = `copy-${round}`;
    const [report] = await Promise.all([
      compacting,
      readAll(store, values, () => isCompacted),
      store.backupTo(copy, { fileSystem }),
    ]);
    expect(report.movedBytes).toBeGreaterThan(0);
    await expectCopy(fileSystem, copy, values);
    await check.sound(store);
  }
  await store.close();
});

it.each([11, 12])('a reader beside a writer that compacts is right: seed %i', async (seed) => {
  const random = new Random(seed);
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  const values: Values = new Map();
  for (let batch = 0; batch < 20; batch++) await push(writer, values, random, 40);
  await removeOldest(writer, values, 0.7);
  const reader = await Store.open(path, { fileSystem, readOnly: true, cacheBytes: 300_000 });
  const seen = new Map(values);
  let isCompacted = false;
  const compacting = writer.compact({ bytesPerSecond: 200_000_000 }).finally(() => {
    isCompacted = true;
  });
  const [report, gone] = await Promise.all([
    compacting,
    readAll(reader, seen, () => isCompacted),
    reader.backupTo('copy', { fileSystem }),
  ]);
  expect(report.movedBytes).toBeGreaterThan(0);
  // The writer frees nothing meanwhile.
  expect(gone).toBe(0);
  await expectCopy(fileSystem, 'copy', seen);
  await reader.refresh();
  await readAll(reader, seen, () => true);
  await reader.close();
  await writer.close();
});
