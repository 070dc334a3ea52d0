/**
 * One flipped bit in a value of the last batch, once an opening had confirmed that batch, refused
 * the whole store, for reading too, though the same bit in a value of an older batch cost that value
 * only. Opening 8 of the format now says it: at or before `confirmed` the damage is the value's.
 *
 * And recovery, which writes again what an unconfirmed batch wrote, must not make rotten bytes good.
 */

import { expect, it } from 'vitest';
import { type FileSystem, memoryFileSystem, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { contentOf, overwrite } from '../support/fixtures/store-checks.ts';

const path = 'store';

it.each([true, false])(
  'rot in a value of a confirmed batch costs only that value, opened read-only: %s',
  async (readOnly) => {
    const fileSystem = memoryFileSystem();
    const writer = await Store.open(path, { fileSystem });
    const session = writer.session();
    const [first, rotten, last] = [1, 2, 3].map((seed) => session.push(patternOf(300, seed)));
    await session.commit();
    if (first === undefined || rotten === undefined || last === undefined) throw new Error('three');
    const left = await copyOf(await contentOf(fileSystem, path));
    // This opening confirms the last batch, and is killed.
    await Store.open(path, { fileSystem: left });
    const bytes = await contentOf(left, path);
    const at = Buffer.from(bytes).indexOf(patternOf(300, 2));
    bytes[at + 7] = (bytes[at + 7] as number) ^ 4;
    for (let opening = 0; opening < 2; opening++) {
      const damaged = await copyOf(bytes);
      const store = await Store.open(path, { fileSystem: damaged, readOnly });
      expect(store.currentBatch).toBe(1);
      expect(store.get(first)).toEqual(patternOf(300, 1));
      expect(store.get(last)).toEqual(patternOf(300, 3));
      const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT', grainId: rotten });
      expect(() => store.get(rotten)).toThrow(corrupt);
      const found = [];
      for await (const { grainId } of store.verify({ deep: true })) found.push(grainId);
      expect(found).toEqual([rotten]);
      await store.close();
      bytes.set((await contentOf(damaged, path)).subarray(0, bytes.length));
    }
  },
);

async function copyOf(bytes: Uint8Array): Promise<FileSystem> {
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, bytes, 0, path);
  return fileSystem;
}

it('rot is forgotten when the value is freed: the next one in its grains is read normally', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  const { id } = await writer.put(patternOf(600, 1));
  const left = await copyOf(await contentOf(fileSystem, path));
  await Store.open(path, { fileSystem: left });
  const bytes = await contentOf(left, path);
  const at = Buffer.from(bytes).indexOf(patternOf(600, 1));
  bytes[at + 7] = (bytes[at + 7] as number) ^ 4;
  const damaged = await copyOf(bytes);
  const store = await Store.open(path, { fileSystem: damaged });
  const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT', grainId: id });
  expect(() => store.get(id)).toThrow(corrupt);
  const session = store.session();
  session.archive(id);
  await session.commit();
  // Archived it is still what it was.
  expect(() => store.get(id)).toThrow(corrupt);
  await store.checkpointTo(store.currentBatch);
  expect(store.get(id)).toBe(undefined);

  const again = await store.put(patternOf(600, 2));
  expect(again.id).toBe(id);
  expect(store.get(id)).toEqual(patternOf(600, 2));
  expect(await store.getAsync(id)).toEqual(patternOf(600, 2));
  for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
  await store.close();
});
