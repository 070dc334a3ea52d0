/**
 * A compaction of a store that is compact already: its own batches make the file longer only by what
 * the log takes, which is kept until a checkpoint.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { storesOfTest } from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();

it.each([
  [30_000, 10],
  [500, 400],
  [90_000, 30],
])('of %i bytes each, %i values: five compactions', async (length, count) => {
  const store = await stores.open('store', { fileSystem: memoryFileSystem() });
  const ids: GrainId[] = [];
  for (let at = 0; at < count; at++) ids.push((await store.put(patternOf(length, at))).id);
  const session = store.session();
  for (const id of ids.slice(0, count / 2)) session.archive(id);
  await store.checkpointTo(await session.commit());
  const { fileBytesAfter: first } = await store.compact();
  for (let round = 1; round < 5; round++) await store.compact();
  const segmentBytes = 64 * 1024;
  expect(store.statistics().fileBytes).toBeLessThanOrEqual(first + 2 * segmentBytes);
});
