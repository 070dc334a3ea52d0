/**
 * A batch of an automatic compaction moved a map, and freed the only value of the map. The old map
 * stayed in the list of those to be dropped. The map that replaced it begins with the same grain and
 * takes new values. The next batch dropped it, and values that were committed meanwhile were lost.
 */

import { it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { Random } from '../support/random.ts';

interface Value {
  readonly id: GrainId;
  readonly length: number;
  readonly seed: number;
}

it.each([1, 2, 3])('frees values of maps while these are moved, program %i', async (seed) => {
  const random = new Random(seed);
  const fileSystem = memoryFileSystem();
  let store = await Store.open('store', { fileSystem, compaction: 'automatic' });
  let values: Value[] = [];
  let pushed = 0;
  const expectValues = (): void => {
    for (const { id, length, seed } of values) {
      expectSameBytes(store.get(id) as Uint8Array, patternOf(length, seed));
    }
  };
  /** One commit: archives these, and pushes as many values, each of a length that has a map. */
  const commit = async (count: number, archived: readonly Value[]): Promise<void> => {
    const session = store.session();
    for (const { id } of archived) session.archive(id);
    values = values.filter((value) => !archived.includes(value));
    for (let left = count; left > 0; left--) {
      const length = 100_000 + random.below(20_000);
      pushed += 1;
      values.push({ id: session.push(patternOf(length, pushed)), length, seed: pushed });
    }
    session.checkpointTo(store.currentBatch);
    await session.commit();
  };
  for (let at = 0; at < 40; at++) await commit(1, []);
  for (let round = 0; round < 180; round++) {
    // Half of the file is free: a compaction begins.
    if (round % 60 === 0) await commit(0, values.slice(0, values.length / 2));
    const one = values[random.below(values.length)] as Value;
    await commit(round % 60 < 20 ? 2 : 1, values.length > 4 ? [one] : []);
    if (round % 10 === 9) expectValues();
  }
  await store.close();
  store = await Store.open('store', { fileSystem });
  expectValues();
  await check.sound(store);
  await store.close();
});
