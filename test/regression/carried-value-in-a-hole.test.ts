/**
 * A carried value whose grains lie in a hole of a sparse file: on a full disk they cannot be
 * written.
 *
 * After an opening, the file's length says nothing about its holes. The store accepted small values
 * there, since their records found room, and the next settle could not write them to their grains.
 * A settle write that fails twice fails its commit: every deletion and checkpoint was refused.
 */

import { expect, it } from 'vitest';
import type { GrainId } from '../../src/index.ts';
import { Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { SmallDisk } from '../support/disks/small-disk.ts';

/** A store with a hole in front of a long value, on a disk that is full; opened again. */
async function fullWithHole(spare: number): Promise<{ store: Store; id: GrainId }> {
  const room = new SmallDisk(Number.POSITIVE_INFINITY, 'sparse');
  const fileSystem = new SimulatedDisk({
    records: false,
    faultOf: (operation) => room.faultOf(operation),
  });
  const options = { fileSystem, cacheBytes: 0, settleBytes: 3000 };
  const first = await Store.open('store', options);
  await first.put(patternOf(500_000, 1));
  const abandoned = first.session();
  abandoned.push(patternOf(300_000, 2));
  await first.put(patternOf(2_000_000, 3));
  abandoned.abandon();
  await first.close();
  const store = await Store.open('store', options);
  const { id } = await store.put(patternOf(10, 4));
  room.pages = room.writtenPages + spare;
  return { store, id };
}

async function putUntilRefused(store: Store): Promise<GrainId[]> {
  const ids: GrainId[] = [];
  for (let refusals = 0; refusals < 20; ) {
    try {
      ids.push((await store.put(patternOf(200, ids.length))).id);
    } catch (error) {
      expect(error).toMatchObject({ code: 'VARVE_IO' });
      refusals += 1;
    }
  }
  return ids;
}

async function remove(store: Store, ids: readonly GrainId[]): Promise<void> {
  for (let at = 0; at < ids.length; at += 20) {
    const session = store.session();
    for (const id of ids.slice(at, at + 20)) session.archive(id);
    await session.commit();
    await store.checkpointTo(store.currentBatch);
  }
}

it.each([0, 3, 4])('does not refuse deletions (%d pages to spare)', async (spare) => {
  const { store, id: first } = await fullWithHole(spare);
  for (let round = 0; round < 2; round++) {
    const ids = await putUntilRefused(store);
    expect(ids.length).toBeGreaterThan(0);
    for (const [at, id] of ids.entries()) expect(store.get(id)).toEqual(patternOf(200, at));
    await remove(store, ids);
  }
  await remove(store, [first]);
  for await (const finding of store.verify({ deep: true })) expect(finding).toBeUndefined();
  await store.close();
});

/** File systems that copy on write need space for pages that have been written, too. */
it('a carried value that the disk refuses stops no deletion, and goes to its grains later', async () => {
  const marker = 0x5a;
  let refuses = false;
  const fileSystem = new SimulatedDisk({
    records: false,
    // The byte after the prefix of the first value.
    faultOf: ({ kind, first }) =>
      refuses && kind === 'write' && first?.[8] === marker && first[9] === marker
        ? { kind: 'error', code: 'ENOSPC', done: 'nothing' }
        : undefined,
  });
  const options = { fileSystem, settleBytes: 4000 };
  const store = await Store.open('store', options);
  const value = new Uint8Array(200).fill(marker);
  const ids: GrainId[] = [];
  while (ids.length < 12) ids.push((await store.put(value)).id);
  refuses = true;
  while (ids.length > 3) await remove(store, ids.splice(0, 1));
  for (const id of ids) expect(store.get(id)).toEqual(value);
  refuses = false;
  await store.close();
  const again = await Store.open('store', options);
  for (const id of ids) expect(again.get(id)).toEqual(value);
  for await (const finding of again.verify({ deep: true })) expect(finding).toBeUndefined();
  await again.close();
});
