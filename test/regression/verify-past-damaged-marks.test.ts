/**
 * Deep verification ended with an error at the first mark page that was damaged for good, and said
 * nothing of the values in the strata after it.
 */

import { expect, it } from 'vitest';
import { kindMarks, pageBytes } from '../../src/format/layout.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { patternOf } from '../support/bytes.ts';

const path = 'store';

it('deep verification continues past marks that cannot be read', async () => {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(path, { fileSystem });
  await store.put(patternOf(100));
  const { id } = await store.put(patternOf(20_000));
  await store.checkpointTo(store.currentBatch);
  await store.close();
  const options = { create: false, exclusive: false, readOnly: false };
  const file = await fileSystem.open(path, options);
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  let marks = 0;
  while (getU32(bytes, marks) !== kindMarks) marks += pageBytes;
  const value = Buffer.from(bytes.buffer).indexOf(patternOf(1000));
  for (const offset of [marks + 40, value]) file.writeSync([Uint8Array.of(0xa5)], offset);
  await file.close();

  const damaged = await Store.open(path, { fileSystem });
  const found = [];
  for await (const finding of damaged.verify({ deep: true })) found.push(finding);
  expect(found).toContainEqual(expect.objectContaining({ offset: marks }));
  expect(found).toContainEqual(
    expect.objectContaining({ grainId: id, message: 'a value fails its checksum' }),
  );
  await damaged.close();
});
