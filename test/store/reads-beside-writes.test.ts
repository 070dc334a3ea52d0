/**
 * Reads that come while the write of a batch is under way: what they leave in the block cache is not
 * older than the file once the batch is there.
 */

import { expect, it } from 'vitest';
import { memoryFileSystem } from '../../src/index.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import { present, storePath, storesOfTest } from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const valueBytes = 1000;
const grainsOfValue = 32n;
/** More than is written on the calling thread: the write can be held back. */
const valueCount = 350;

it('a block read while a write to it is held back is up to date when that has returned', async () => {
  const disk = new WrappedFileSystem(memoryFileSystem());
  // One map for all, so that the values of a batch are one write, behind a value of an earlier one.
  const limits = { ...defaultLimits, mapBytesLeast: 448 * 1024 };
  const store = stores.keep(await openStore(checkOptions(storePath, { fileSystem: disk }, limits)));
  const first = store.session();
  const neighbour = first.push(patternOf(valueBytes, 7));
  await first.commit();

  const gate = disk.hold('write');
  const second = store.session();
  const ids = Array.from({ length: valueCount }, (_, at) =>
    second.push(patternOf(valueBytes, 1000 + at)),
  );
  expect(ids[0], 'they lie side by side').toBe(neighbour + grainsOfValue);
  const committing = second.commit();
  await gate.reached();
  expectSameBytes(present(store.get(neighbour)), patternOf(valueBytes, 7));
  gate.open();
  await committing;
  for (const [at, id] of ids.entries()) {
    expectSameBytes(present(store.get(id)), patternOf(valueBytes, 1000 + at));
  }
});
