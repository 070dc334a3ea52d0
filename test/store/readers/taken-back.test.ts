/**
 * A batch that a reader has followed is taken back while the reader moves to a newer state: the disk
 * refused its record after all of it was in the file.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';

const path = 'store';

function push(writer: Store, byte: number): GrainId {
  const session = writer.session();
  const id = session.push(new Uint8Array(100).fill(byte));
  session.commitSync();
  return id;
}

it('a refresh that followed a batch which was taken back ends at a readable state', async () => {
  for (const later of [0, 1, 2]) {
    const inner = memoryFileSystem();
    const disk = new WrappedFileSystem(inner);
    const writer = await Store.open(path, { fileSystem: disk });
    const kept = push(writer, 1);
    const reader = await Store.open(path, { fileSystem: inner, readOnly: true, cacheBytes: 0 });
    const before = disk.count('write');
    push(writer, 2);
    // The last write of a commit is its record. After its refusal comes a blank in its place.
    let left = disk.count('write') - before;
    let refreshed: Promise<number> | undefined;
    const when = (): boolean => {
      left -= 1;
      if (left === -1) refreshed = reader.refresh();
      return left === 0;
    };
    const fault = disk.fail('write', 'EIO', { when, partialBytes: 4096 });
    expect(() => push(writer, 3)).toThrow(expect.objectContaining({ code: 'VARVE_IO' }));
    fault.stop();
    for (let more = 0; more < later; more++) push(writer, 4 + more);
    expect(await refreshed).toBe(2 + later);
    expect(reader.get(kept)).toEqual(new Uint8Array(100).fill(1));
    await reader.close();
    await writer.close();
  }
});
