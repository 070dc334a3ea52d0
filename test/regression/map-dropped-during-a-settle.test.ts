/**
 * A settle lists the mark pages that it writes when it begins. If a batch dropped the map of a
 * listed page before its turn, the settle asserted that the page was still to be written, and the
 * store was poisoned.
 */

import { expect, it } from 'vitest';
import { memoryFileSystem, Store } from '../../src/index.ts';

/** Some 140 mark pages. A commit writes 64 pages of a settle. */
const values = 300;
const value = new Uint8Array(70_000).fill(7);
/** Its stratum comes after that of the values above. */
const large = new Uint8Array(2_000_000).fill(8);

it('a map may be dropped while a settle has its mark page still to write', async () => {
  const fileSystem = memoryFileSystem();
  const store = await Store.open('store', { fileSystem, settleBytes: 4096 });
  const first = store.session();
  const kept = first.push(value);
  const dropped = first.push(large);
  await first.commit();
  const archiving = store.session();
  archiving.archive(dropped);
  const archived = await archiving.commit();
  const many = store.session();
  for (let at = 0; at < values; at++) many.push(value);
  await many.commit();

  // The settle begins with the batch that frees the large value; the next one drops its map.
  await store.checkpointTo(archived);
  for (let batch = 0; batch < 6; batch++) await store.put(Uint8Array.of(batch));
  for await (const finding of store.verify()) expect(finding).toBe(undefined);
  await store.close();

  const reopened = await Store.open('store', { fileSystem });
  expect(reopened.recovery.healed).toEqual([]);
  expect(reopened.get(kept)).toEqual(value);
  expect(reopened.get(dropped)).toBe(undefined);
  for await (const finding of reopened.verify({ deep: true })) expect(finding).toBe(undefined);
  await reopened.close();
});
