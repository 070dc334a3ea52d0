/**
 * A disk that keeps the old bytes of a reused grain shows a whole value of the same id. While the
 * batch that wrote the new one is in the retained log, verification says so.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../src/index.ts';

const path = 'store';
const encoder = new TextEncoder();
/** More than a record carries. */
const length = 600;

async function findings(
  store: Store,
): Promise<{ message: string; grainId: GrainId | undefined }[]> {
  const found = [];
  for await (const { message, grainId } of store.verify({ deep: true })) {
    found.push({ message, grainId });
  }
  return found;
}

it('a lost write is found while the log has its batch, and not after', async () => {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(path, { fileSystem });
  const { id } = await store.put(encoder.encode('the first value'.padEnd(length)));
  const file = await fileSystem.open(path, { create: false, exclusive: false, readOnly: true });
  const before = new Uint8Array(file.length());
  file.readSync(before, 0);
  const offset = Buffer.from(before.buffer).indexOf('the first value') - 8;
  const session = store.session();
  session.archive(id);
  await session.commit();
  await store.checkpointTo(store.currentBatch);
  const again = await store.put(encoder.encode('the other value'.padEnd(length)));
  expect(again.id).toBe(id);
  await store.put(encoder.encode('another'));
  await store.close();
  await file.close();

  const disk = await fileSystem.open(path, { create: false, exclusive: false, readOnly: false });
  disk.writeSync([before.subarray(offset, offset + 8 + length)], offset);
  await disk.close();
  const opened = await Store.open(path, { fileSystem });
  expect(await findings(opened)).toEqual([
    { message: 'a value is not the one that was written: that write was lost', grainId: id },
  ]);
  await opened.checkpointTo(opened.currentBatch);
  expect(await findings(opened)).toEqual([]);
  await opened.close();
});
