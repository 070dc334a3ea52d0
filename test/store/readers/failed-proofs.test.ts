/**
 * A reader whose file fails in a read, or between a read and its proof: the read says so, and what
 * it read does not count as proven afterwards.
 */

import { expect, it, vi } from 'vitest';
import { ioError } from '../../../src/errors.ts';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { MapReplacements } from '../../../src/store/grains/map-replacements.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';

const path = 'store';

function pushAll(writer: Store, byte: number, archive: readonly GrainId[] = []): GrainId[] {
  const session = writer.session();
  for (const id of archive) session.archive(id);
  const ids = Array.from({ length: 200 }, () => session.push(new Uint8Array(100).fill(byte)));
  session.commitSync();
  return ids;
}

it('a value under a used id is not returned after the proof of its first read has failed', async () => {
  let failed = 0;
  for (let number = 0; number < 6; number++) {
    const inner = memoryFileSystem();
    const disk = new WrappedFileSystem(inner);
    const writer = await Store.open(path, { fileSystem: inner });
    const first = pushAll(writer, 1);
    const reader = await Store.open(path, { fileSystem: disk, readOnly: true });
    const second = pushAll(writer, 2, first);
    const checkpoint = writer.session();
    checkpoint.checkpointTo(writer.currentBatch);
    checkpoint.commitSync();
    const third = pushAll(writer, 3, second);
    const id = third.find((one) => first.includes(one)) as GrainId;
    let reads = 0;
    disk.fail('read', 'EIO', { when: () => reads++ === number, times: 1 });
    try {
      reader.get(id);
    } catch (error) {
      if ((error as { code: string }).code === 'VARVE_IO') failed += 1;
    }
    expect(() => reader.get(id)).toThrow(expect.objectContaining({ code: 'VARVE_SNAPSHOT_GONE' }));
    await reader.close();
    await writer.close();
  }
  expect(failed).toBeGreaterThan(2);
});

it('an asynchronous read that the closing file fails is refused as of a closed store', async () => {
  const inner = memoryFileSystem();
  const disk = new WrappedFileSystem(inner);
  const writer = await Store.open(path, { fileSystem: inner });
  const [id] = pushAll(writer, 1) as [GrainId];
  const reader = await Store.open(path, { fileSystem: disk, readOnly: true });
  const gate = disk.hold('read');
  const read = expect(reader.getAsync(id)).rejects.toMatchObject({ code: 'VARVE_CLOSED' });
  await gate.reached();
  const closing = reader.close();
  disk.fail('read', 'EBADF');
  gate.open();
  await read;
  await closing;
  await writer.close();
});

it('a reader whose read fails while it follows a moved map follows it with the next read', async () => {
  let failed = 0;
  for (let number = 0; number < 4; number++) {
    const inner = memoryFileSystem();
    let writer = await Store.open(path, { fileSystem: inner });
    const ids: GrainId[] = [];
    // Each has a map to itself.
    for (let at = 0; at < 8; at++) ids.push((await writer.put(patternOf(90_000, at))).id);
    const session = writer.session();
    for (const id of ids.slice(0, 4)) session.archive(id);
    await writer.checkpointTo(await session.commit());
    // All is settled: a reader loads no marks when it opens.
    await writer.close();
    writer = await Store.open(path, { fileSystem: inner });
    const reader = await Store.open(path, { fileSystem: inner, readOnly: true, cacheBytes: 0 });
    await writer.compact();
    // The old places have other bytes.
    for (let at = 0; at < 8; at++) await writer.put(patternOf(90_000, 100 + at));
    const { loadAll } = MapReplacements.prototype;
    let loads = 0;
    const spy = vi.spyOn(MapReplacements.prototype, 'loadAll').mockImplementation(function (
      this: MapReplacements,
      map,
    ) {
      if (loads++ === number) throw ioError('reading marks', path, new Error('made for the test'));
      loadAll.call(this, map);
    });
    for (const at of [6, 7, 6]) {
      let bytes: Uint8Array | undefined;
      try {
        bytes = reader.readRange(ids[at] as GrainId, 1000, 2000);
      } catch (error) {
        expect(error).toMatchObject({ code: 'VARVE_IO' });
        failed += 1;
        continue;
      }
      expectSameBytes(bytes as Uint8Array, patternOf(90_000, at).subarray(1000, 2000));
    }
    spy.mockRestore();
    await reader.close();
    await writer.close();
  }
  expect(failed).toBeGreaterThan(2);
});
