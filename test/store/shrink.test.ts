/** Closing gives the free end of the file back. */

import { expect, it } from 'vitest';
import type { GrainId } from '../../src/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';

const path = 'store';
const mebibyte = 1024 * 1024;

it('a file whose values were freed is shorter after the close', async () => {
  const fileSystem = memoryFileSystem();
  // Closed once, so that the basin and the root have their places before the large values.
  const small = await Store.open(path, { fileSystem });
  const first = await small.put(new Uint8Array(1000).fill(1));
  await small.close();
  const store = await Store.open(path, { fileSystem });
  const large: GrainId[] = [];
  for (let at = 0; at < 8; at++) large.push((await store.put(new Uint8Array(mebibyte))).id);
  const { fileBytes } = store.statistics();
  expect(fileBytes).toBeGreaterThan(8 * mebibyte);
  const session = store.session();
  for (const id of large) session.archive(id);
  await store.checkpointTo(await session.commit());
  await store.close();

  // The first settle drops the empty maps; the one after it gives their places back.
  const again = await Store.open(path, { fileSystem, settleBytes: 1 });
  for (let at = 0; at < 12; at++) await again.put(new Uint8Array(10));
  await again.close();
  const reopened = await Store.open(path, { fileSystem });
  expect(reopened.statistics().fileBytes).toBeLessThan(fileBytes / 2);
  expect(reopened.get(first.id)).toEqual(new Uint8Array(1000).fill(1));
  for await (const finding of reopened.verify({ deep: true })) expect(finding).toBe(undefined);
  await reopened.close();
});
