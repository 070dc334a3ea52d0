/**
 * A damaged mark page was refused as soon as a checkpoint had passed the batch that its twin goes up
 * to, though the log since stays in the file until the next settle.
 */

import { expect, it } from 'vitest';
import { kindMarks, pageBytes } from '../../src/format/layout.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';

const path = 'store';

it('marks are healed from the log that a checkpoint has passed but no settle has', async () => {
  const fileSystem = memoryFileSystem();
  const first = await Store.open(path, { fileSystem });
  const { id } = await first.put(patternOf(9000));
  await first.put(patternOf(100));
  await first.close();
  const file = await fileSystem.open(path, { create: false, exclusive: false, readOnly: false });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  for (let offset = 0; offset < bytes.length; offset += pageBytes) {
    if (getU32(bytes, offset) === kindMarks) file.writeSync([Uint8Array.of(0xa5)], offset + 40);
  }
  await file.close();

  const healing = await Store.open(path, { fileSystem });
  await healing.checkpointTo(healing.currentBatch);
  expectSameBytes(healing.get(id) as Uint8Array, patternOf(9000));
  expect(healing.recovery.healed).toHaveLength(1);
  await healing.close();

  const sound = await Store.open(path, { fileSystem });
  expectSameBytes(sound.get(id) as Uint8Array, patternOf(9000));
  expect(sound.recovery.healed).toEqual([]);
  await sound.close();
});
