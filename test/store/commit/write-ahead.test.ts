/**
 * Values that a session writes ahead of its commit, into grains whose blocks are in the cache from
 * the values that were there before: what is read afterwards is what was written.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';

const count = 30;
const length = 50_000;

function pushAll(store: Store, kind: number): { ids: GrainId[]; commit: () => number } {
  const session = store.session();
  const ids = Array.from({ length: count }, (_, at) => session.push(patternOf(length, kind + at)));
  return { ids, commit: () => session.commitSync() };
}

it('values written ahead are read correctly if the cache had older bytes there', async () => {
  const store = await Store.open('store', { fileSystem: memoryFileSystem() });
  const first = pushAll(store, 1);
  first.commit();
  for (const id of first.ids) expect(store.get(id)?.length).toBe(length);
  const session = store.session();
  for (const id of first.ids) session.archive(id);
  await session.commit();
  await store.checkpointTo(store.currentBatch);
  const second = pushAll(store, 1000);
  expect(second.ids.filter((id) => first.ids.includes(id)).length).toBeGreaterThan(count / 2);
  second.commit();
  for (const [at, id] of second.ids.entries()) {
    expectSameBytes(store.get(id) as Uint8Array, patternOf(length, 1000 + at));
  }
  await store.close();
});
