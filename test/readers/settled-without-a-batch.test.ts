/**
 * A reader whose writer settles, by closing, without a new batch: a refresh takes the newer state
 * of the same batch, so damage there is told as damage, and `VARVE_SNAPSHOT_GONE` does not last.
 */

import { expect, it } from 'vitest';
import { type FileSystem, type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { contentOf, overwrite } from '../support/fixtures/store-checks.ts';

const path = 'store';
const pageBytes = 4096;

/** The writer has closed; the reader has loaded no mark page, and knows of no later batch. */
async function readerPastItsWriter(
  fileSystem: FileSystem,
): Promise<{ reader: Store; ids: GrainId[] }> {
  let writer = await Store.open(path, { fileSystem });
  const session = writer.session();
  const ids = Array.from({ length: 3000 }, (_, at) => session.push(new Uint8Array(100).fill(at)));
  await session.commit();
  await writer.checkpointTo(writer.currentBatch);
  await writer.close();
  writer = await Store.open(path, { fileSystem });
  await writer.put(new Uint8Array(9000));
  const reader = await Store.open(path, { fileSystem, readOnly: true });
  await writer.close();
  expect(reader.currentBatch).toBe(writer.currentBatch);
  return { reader, ids };
}

async function damageEveryMarkPage(fileSystem: FileSystem): Promise<void> {
  const bytes = await contentOf(fileSystem, path);
  let damaged = 0;
  for (let at = 2 * pageBytes; at < bytes.length; at += pageBytes) {
    if (Buffer.from(bytes.subarray(at, at + 4)).toString('latin1') !== 'mark') continue;
    (bytes[at + 40] as number) ^= 255;
    await overwrite(fileSystem, bytes.subarray(at, at + pageBytes), at, path);
    damaged += 1;
  }
  expect(damaged).toBeGreaterThan(0);
}

it('a rotten mark page is VARVE_CORRUPT after a refresh, not VARVE_SNAPSHOT_GONE', async () => {
  const fileSystem = memoryFileSystem();
  const { reader, ids } = await readerPastItsWriter(fileSystem);
  await damageEveryMarkPage(fileSystem);
  const [id] = ids as [GrainId];
  const { currentBatch } = reader;
  expect(await reader.refresh()).toBe(currentBatch);
  const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT' });
  expect(() => reader.get(id)).toThrow(corrupt);
  await expect(reader.getAsync(id)).rejects.toEqual(corrupt);
  expect(() => reader.has(id)).toThrow(corrupt);
  await reader.close();
});

it('a refresh takes the newer state of the same batch once, and keeps its values', async () => {
  const fileSystem = memoryFileSystem();
  const { reader, ids } = await readerPastItsWriter(fileSystem);
  const { currentBatch } = reader;
  const view = reader.view();
  for (let times = 0; times < 2; times++) expect(await reader.refresh()).toBe(currentBatch);
  for (const [at, id] of ids.entries()) {
    expect(reader.get(id)?.[0]).toBe(at % 256);
    expect(view.get(id)?.[0]).toBe(at % 256);
  }
  await reader.close();
});
