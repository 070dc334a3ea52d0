/**
 * Space ahead was filled with zeros after the next segment of the log, in one round of writes. In a
 * file of 32 MiB and more the segment is long enough to be written without blocking; meanwhile a
 * session could take pages from the end of the file, and write a value there, which the zeros, their
 * place decided before, then overwrote: an acknowledged value that failed its checksum.
 */

import { expect, it } from 'vitest';
import { Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const mebibyte = 1024 * 1024;

it('a value written while the next log segment is being made stays as it was pushed', async () => {
  const disk = new SimulatedDisk({ records: false });
  const store = await Store.open('store', { fileSystem: disk });
  await store.put(new Uint8Array(40 * mebibyte));
  const large = patternOf(2 * mebibyte);
  const session = store.session();
  let id: bigint | undefined;
  disk.faultOf = ({ bytes }) => {
    // In a file of this length a segment of the log has 128 pages.
    if (bytes === mebibyte / 2 && id === undefined) {
      id = 0n;
      queueMicrotask(() => {
        id = session.push(large);
      });
    }
    return undefined;
  };

  for (let batch = 0; batch < 80 && id === undefined; batch++) await store.put(patternOf(50));
  await session.commit();
  expect(id).toBeGreaterThan(0n);
  expectSameBytes(store.get(id as Parameters<Store['get']>[0]) as Uint8Array, large);
  for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
  await store.close();
});
