/**
 * A store open read-only beside a live writer: it keeps seeing the batch that it opened at while the
 * writer settles again and again over the structures that it has not read yet. It writes nothing,
 * and the marks of states that it has left are evicted.
 */

import { expect, it } from 'vitest';
import type { GrainId } from '../../../src/index.ts';
import { memoryFileSystem, Store } from '../../../src/index.ts';

const path = 'store';

it('keeps reading every value that is not freed while the writer settles', async () => {
  const fileSystem = memoryFileSystem();
  let writer = await Store.open(path, { fileSystem, settleBytes: 2048 });
  const lengths = new Map<GrainId, number>();
  const commit = async (count: number, keep: boolean): Promise<void> => {
    const session = writer.session();
    for (let at = 0; at < count; at++) {
      const id = session.push(new Uint8Array(at).fill(at));
      if (keep) lengths.set(id, at);
    }
    await session.commit();
  };
  for (let round = 0; round < 20; round++) await commit(30, true);
  // Closed and opened again, the log is empty, so the reader's opening touches no mark page.
  await writer.close();
  writer = await Store.open(path, { fileSystem, settleBytes: 2048 });
  const { currentBatch } = writer;
  const reader = await Store.open(path, { fileSystem, readOnly: true, cacheBytes: 0 });
  for (let round = 0; round < 60; round++) await commit(10, false);
  for (const [id, length] of lengths) {
    const bytes = reader.get(id);
    expect(bytes?.length).toBe(length);
    expect(bytes?.every((byte) => byte === length)).toBe(true);
  }
  expect(reader.currentBatch).toBe(currentBatch);
  expect(reader.recovery.healed).toEqual([]);
  await reader.close();
  await writer.close();
});

it('recovers an unclosed store in memory, and leaves the file unchanged', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  const { id } = await writer.put(new Uint8Array(1000).fill(7));
  const bytesNow = async (): Promise<Uint8Array> => {
    const options = { create: false, exclusive: false, readOnly: true };
    const file = await fileSystem.open(path, options);
    const bytes = new Uint8Array(file.length());
    file.readSync(bytes, 0);
    await file.close();
    return bytes;
  };
  const before = await bytesNow();
  const reader = await Store.open(path, { fileSystem, readOnly: true });
  expect(reader.recovery).toMatchObject({ clean: false, replayedBatches: 1 });
  expect(reader.get(id)?.length).toBe(1000);
  expect(() => reader.session()).toThrow(expect.objectContaining({ code: 'VARVE_READ_ONLY' }));
  await reader.close();
  expect(Buffer.compare(before, await bytesNow())).toBe(0);
  await writer.close();
});

it('evicts the marks of states that it has left', async () => {
  const fileSystem = memoryFileSystem();
  let writer = await Store.open(path, { fileSystem });
  const ids: GrainId[] = [];
  // Most are in strata of their own.
  for (const length of [20, 5000, 20_000, 100_000, 500_000]) {
    ids.push((await writer.put(new Uint8Array(length))).id);
  }
  await writer.close();
  writer = await Store.open(path, { fileSystem });
  const reader = await Store.open(path, { fileSystem, readOnly: true, cacheBytes: 0 });
  const view = reader.view();
  const markBytes = (): number => {
    for (const id of ids) expect(reader.get(id)).toBeDefined();
    return reader.memory.statistics().markBytes;
  };
  const ofOne = markBytes();
  for (let round = 0; round < 20; round++) {
    await writer.put(new Uint8Array(20));
    await reader.refresh();
    // Of each state one page stays, which the log has changed.
    expect(markBytes()).toBeLessThan(ofOne * 8);
  }
  for (const id of ids) expect(view.get(id)).toEqual(reader.get(id));
  await reader.close();
  await writer.close();
});
