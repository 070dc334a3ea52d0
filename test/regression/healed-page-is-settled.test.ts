/**
 * A mark page that was made good from its twin was settled without its basin, which nothing else had
 * changed: the new page was named by nothing, while the log that had healed it was dropped.
 */

import { expect, it } from 'vitest';
import { kindMap, kindMarks, pageBytes } from '../../src/format/layout.ts';
import type { GrainId } from '../../src/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';

it.each([
  ['mark page', kindMarks],
  ['head of a map', kindMap],
])('what a healed %s held is there after a checkpoint and an opening', async (_, kind) => {
  const fileSystem = memoryFileSystem();
  const ids: GrainId[] = [];
  for (let round = 0; round < 2; round++) {
    const store = await Store.open('store', { fileSystem });
    for (let at = 0; at < 5; at++) ids.push((await store.put(new Uint8Array(50 + at))).id);
    await store.close();
  }
  const options = { create: false, exclusive: false, readOnly: false };
  const file = await fileSystem.open('store', options);
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  for (let offset = 0; offset + pageBytes <= bytes.length; offset += pageBytes) {
    if (getU32(bytes, offset) !== kind || getU32(bytes, offset + 8) !== 2) continue;
    file.writeSync([new Uint8Array(32).fill(0xa5)], offset + 100);
  }
  await file.close();

  const healing = await Store.open('store', { fileSystem });
  expect(healing.has(ids[0] as GrainId)).toBe(true);
  expect(healing.recovery.healed).toHaveLength(1);
  await healing.checkpointTo(healing.currentBatch);
  await healing.close();
  const store = await Store.open('store', { fileSystem });
  for (const [at, id] of ids.entries()) expect(store.get(id)?.length).toBe(50 + (at % 5));
  expect(store.recovery.healed).toEqual([]);
  for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
  await store.close();
});
