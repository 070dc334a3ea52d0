/**
 * A mark page that was made good from its twin was settled without its basin, which nothing else had
 * changed: the new page was named by nothing, while the log that had healed it was dropped.
 */

import { expect, it } from 'vitest';
import { kindMap, kindMarks, pageBytes } from '../../src/format/layout.ts';
import type { FileSystem, GrainId } from '../../src/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { addMapTo, headedGrains, labPath, openLab } from '../support/fixtures/core-lab.ts';

/** A store whose first map is so large that it has a head; it holds one value of no interest. */
async function makeHeaded(fileSystem: FileSystem): Promise<void> {
  const lab = await openLab({ fileSystem });
  addMapTo(lab.core, { grains: headedGrains });
  const session = lab.session();
  session.push(new Uint8Array(30));
  await session.commit();
  await lab.kill();
}

it.each([
  ['mark page that a basin names', kindMarks, false],
  ['mark page that a head names', kindMarks, true],
  ['head of a map', kindMap, true],
])('values of a healed %s are there after a checkpoint and an opening', async (_, kind, headed) => {
  const fileSystem = memoryFileSystem();
  const ids: GrainId[] = [];
  if (headed) await makeHeaded(fileSystem);
  for (let round = 0; round < 2; round++) {
    const store = await Store.open(labPath, { fileSystem });
    for (let at = 0; at < 5; at++) ids.push((await store.put(new Uint8Array(50 + at))).id);
    await store.close();
  }
  const options = { create: false, exclusive: false, readOnly: false };
  const file = await fileSystem.open(labPath, options);
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  for (let offset = 0; offset + pageBytes <= bytes.length; offset += pageBytes) {
    if (getU32(bytes, offset) !== kind || getU32(bytes, offset + 8) !== 2) continue;
    file.writeSync([new Uint8Array(32).fill(0xa5)], offset + 100);
  }
  await file.close();

  const healing = await Store.open(labPath, { fileSystem });
  expect(healing.has(ids[0] as GrainId)).toBe(true);
  expect(healing.recovery.healed).toHaveLength(1);
  await healing.checkpointTo(healing.currentBatch);
  await healing.close();
  const store = await Store.open(labPath, { fileSystem });
  for (const [at, id] of ids.entries()) expect(store.get(id)?.length).toBe(50 + (at % 5));
  expect(store.recovery.healed).toEqual([]);
  for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
  await store.close();
});
