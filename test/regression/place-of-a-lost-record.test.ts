/**
 * A record that was gone was said to be where the next one was found, or had no place at all where
 * the header confirmed its batch.
 */

import { expect, it } from 'vitest';
import { firstSegmentPage, sectorBytes, segmentPagesMin } from '../../src/format/layout.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { laneRange } from '../../src/store/log/commit-log.ts';
import { patternOf } from '../support/bytes.ts';
import { check, contentOf, overwrite } from '../support/fixtures/store-checks.ts';

const path = 'store';
const segment = { page: firstSegmentPage, pages: segmentPagesMin };

/** Byte of the record of a batch in a new store whose records take a sector each. */
function placeOf(batch: number): number {
  return (laneRange(segment, batch % 2).from + Math.floor((batch - 1) / 2)) * sectorBytes;
}

it.each([
  ['the first, with later ones there,', 1, false],
  ['one with later ones there', 3, false],
  ['the last, which the header confirms,', 5, true],
])('an opening reports the place of a missing record: %s', async (_, batch, confirmed) => {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(path, { fileSystem });
  for (let at = 0; at < 5; at++) await store.put(patternOf(20, at));
  const bytes = await contentOf(fileSystem, path);
  const opened = memoryFileSystem();
  await overwrite(opened, bytes, 0, path);
  if (confirmed) await Store.open(path, { fileSystem: opened });
  const damaged = await contentOf(opened, path);
  // The lanes of a new store: batches 2, 4, … and 1, 3, …
  damaged.fill(0, placeOf(batch), placeOf(batch) + sectorBytes);
  const gone = memoryFileSystem();
  await overwrite(gone, damaged, 0, path);
  const error = await check.rejects('VARVE_CORRUPT', () => Store.open(path, { fileSystem: gone }));
  expect(error).toMatchObject({ batch, offset: placeOf(batch) });
  await store.close();
});
