/**
 * Values that were read, and that the cache therefore gives without a look at their marks: once
 * freed they are gone all the same, and whatever takes their place is read as it is.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, type Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { storePath, storesOfTest } from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const count = 200;

async function filled(store: Store, length: number, seed: number): Promise<GrainId[]> {
  const session = store.session();
  const ids = Array.from({ length: count }, (_, at) => session.push(patternOf(length, seed + at)));
  await session.commit();
  return ids;
}

function readTwice(store: Store, ids: readonly GrainId[], length: number, seed: number): void {
  for (let round = 0; round < 2; round++) {
    for (const [at, id] of ids.entries())
      expectSameBytes(store.get(id) as Uint8Array, patternOf(length, seed + at));
  }
}

async function free(store: Store, ids: readonly GrainId[]): Promise<void> {
  const session = store.session();
  for (const id of ids) session.archive(id);
  const batch = await session.commit();
  readTwice(store, ids.slice(0, 1), store.lengthOf(ids[0] as GrainId) as number, 1);
  await store.checkpointTo(batch);
}

describe('a value that was read from the cache', () => {
  it.each([
    [100, 100],
    [100, 20],
    [20, 100],
    [900, 33],
  ])(
    'is undefined once freed, and its successor reads correctly: %i, then %i bytes',
    async (one, other) => {
      const { store } = await stores.wrapped();
      const ids = await filled(store, one, 1);
      readTwice(store, ids, one, 1);
      await free(store, ids);
      expect(ids.map((id) => store.get(id))).toEqual(ids.map(() => undefined));
      const later = await filled(store, other, 7);
      const reused = new Set(later);
      for (const id of ids) if (!reused.has(id)) expect(store.get(id)).toBeUndefined();
      readTwice(store, later, other, 7);
    },
  );

  it('belongs to the caller: the caller’s changes to it have no effect', async () => {
    const store = await stores.open(storePath, { fileSystem: memoryFileSystem() });
    const [id] = await filled(store, 50, 3);
    for (let round = 0; round < 3; round++) {
      const bytes = store.get(id as GrainId);
      expectSameBytes(bytes as Uint8Array, patternOf(50, 3));
      bytes?.fill(0);
    }
  });
});
