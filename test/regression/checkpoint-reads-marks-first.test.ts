/**
 * A checkpoint freed values whose grain map nobody had read yet; the map was read only when the
 * batch was durable already and was being published. A read error there left the batch half
 * published: its grains were given out again while its values were live.
 */

import { expect, it } from 'vitest';
import type { GrainId } from '../../src/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { systemError } from '../../src/io/system-error.ts';

it('a map that cannot be read rejects the checkpoint before anything is written', async () => {
  const inner = memoryFileSystem();
  let failing = false;
  const fileSystem: typeof inner = {
    async open(path, options) {
      const file = await inner.open(path, options);
      const readSync = file.readSync.bind(file);
      file.readSync = (target, position) => {
        if (failing && target.length === 4096) throw systemError('EIO', 'read', path);
        return readSync(target, position);
      };
      return file;
    },
  };
  const first = await Store.open('store', { fileSystem });
  const ids: GrainId[] = [];
  for (const length of [100, 20_000]) ids.push((await first.put(new Uint8Array(length))).id);
  const archiving = first.session();
  for (const id of ids) archiving.archive(id);
  const archived = await archiving.commit();
  await first.close();

  const store = await Store.open('store', { fileSystem, cacheBytes: 0 });
  failing = true;
  await expect(store.checkpointTo(archived)).rejects.toMatchObject({ code: 'VARVE_IO' });
  failing = false;
  expect(store.checkpoint).toBe(0);
  for (const id of ids) expect(store.has(id)).toBe(true);
  await store.checkpointTo(archived);
  for (const id of ids) expect(store.has(id)).toBe(false);
  for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
  await store.close();
});
