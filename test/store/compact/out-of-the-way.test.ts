/** A map that no free stretch takes, and the free stretches before it: compaction makes room. */

import { expect, it } from 'vitest';
import { type GrainId, Store } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { SmallDisk } from '../../support/disks/small-disk.ts';
import { findingsOf } from '../../support/fixtures/store-checks.ts';

const pageBytes = 4096;

interface Value {
  readonly id: GrainId;
  readonly length: number;
}

/**
 * Each value has a map of its own. Two go: the place of the first is for the reserve, and no later
 * value fits in that of the other.
 */
async function withHole(store: Store): Promise<Value[]> {
  const values: Value[] = [];
  for (const length of [120_000, 70_000, 150_000, 400_000, 170_000, 180_000, 190_000]) {
    const { id } = await store.put(patternOf(length, length));
    values.push({ id, length });
  }
  const kept = values.filter((_, at) => at !== 0 && at !== 2);
  const session = store.session();
  for (const value of values) if (!kept.includes(value)) session.archive(value.id);
  await store.checkpointTo(await session.commit());
  return kept;
}

async function endSound(store: Store, values: readonly Value[]): Promise<void> {
  for (const { id, length } of values) {
    expectSameBytes(store.get(id) as Uint8Array, patternOf(length, length));
  }
  expect(await findingsOf(store)).toEqual([]);
  await store.close();
}

it('a map goes out of the way if later ones have room in its place', async () => {
  const store = await Store.open('store', { fileSystem: new SimulatedDisk({ records: false }) });
  const values = await withHole(store);
  const { fileBytesBefore, fileBytesAfter, movedBytes } = await store.compact();
  expect(fileBytesBefore - fileBytesAfter).toBeGreaterThan(100_000);
  expect(movedBytes).toBeGreaterThan(400_000);
  await endSound(store, values);
});

it.each(['length', 'sparse'] as const)(
  'without room on a disk that counts by %s the map stays, and the compaction ends well',
  async (kind) => {
    const disk = new SimulatedDisk({ records: false });
    const store = await Store.open('store', { fileSystem: disk });
    const values = await withHole(store);
    const { fileBytes } = store.statistics();
    const small = new SmallDisk(fileBytes / pageBytes, kind);
    disk.faultOf = (operation) => small.faultOf(operation);
    const { fileBytesAfter } = await store.compact();
    expect(fileBytesAfter).toBeLessThanOrEqual(fileBytes);
    disk.faultOf = undefined;
    await endSound(store, values);
  },
);
