/**
 * Space ahead was filled with zeros after the next segment of the log, in one round of writes. In a
 * file of 128 MiB and more the segment is long enough to be written without blocking; meanwhile a
 * session could take pages from the end of the file, and write a value there, which the zeros, their
 * place decided before, then overwrote: an acknowledged value that failed its checksum. The zeros
 * now go first, and nothing else runs until they are written.
 */

import { expect, it } from 'vitest';
import { type GrainId, Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { type FileCall, WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';

const mebibyte = 1024 * 1024;
/** Writes up to this long are made on the calling thread. */
const synchronousBytes = mebibyte / 4;

it.each([
  // Its log segments have 32 pages: the first write so long is one of space ahead.
  {
    what: 'space ahead is filled',
    mebibytes: 40,
    length: 50,
    isMeant: (bytes: number) => bytes > synchronousBytes,
    sync: true,
  },
  // Its log segments have 128 pages; with so large batches none of them is filled ahead.
  {
    what: 'the next log segment is being made',
    mebibytes: 130,
    length: 70_000,
    isMeant: (bytes: number) => bytes === mebibyte / 2,
    sync: false,
  },
])(
  'a value written while $what stays as it was pushed',
  async ({ mebibytes, length, isMeant, sync }) => {
    const disk = new SimulatedDisk({ records: false });
    const watched = new WrappedFileSystem(disk);
    const store = await Store.open('store', { fileSystem: watched });
    await store.put(new Uint8Array(mebibytes * mebibyte));
    const large = patternOf(2 * mebibyte);
    const session = store.session();
    let id: GrainId | undefined;
    let made: FileCall | undefined;
    disk.faultOf = ({ bytes }) => {
      if (made !== undefined || !isMeant(bytes)) return undefined;
      made = watched.calls.at(-1);
      queueMicrotask(() => {
        id = session.push(large);
      });
      return undefined;
    };

    for (let batch = 0; batch < 80 && id === undefined; batch++) await store.put(patternOf(length));
    expect(made).toMatchObject({ operation: 'write', sync });
    await session.commit();
    expect(id).toBeGreaterThanOrEqual(0n);
    expectSameBytes(store.get(id as GrainId) as Uint8Array, large);
    for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
    await store.close();
  },
);
