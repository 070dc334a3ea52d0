/**
 * A small commit may checkpoint: its record says so, whatever the header says.
 */

import { expect, it } from 'vitest';
import { memoryFileSystem, Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { contentOf, overwrite, storePath } from '../../support/fixtures/store-checks.ts';

it('the checkpoint of a small commit is there after a kill, and what it freed is not', async () => {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(storePath, { fileSystem });
  await store.put(patternOf(3000));
  const { id } = await store.put(patternOf(20));
  const session = store.session();
  session.archive(id);
  const archived = await session.commit();
  const next = store.session();
  next.push(patternOf(30));
  next.checkpointTo(archived);
  await next.commit();
  const left = memoryFileSystem();
  await overwrite(left, await contentOf(fileSystem));
  const again = await Store.open(storePath, { fileSystem: left });
  expect(again.checkpoint).toBe(archived);
  expect(again.get(id)).toBe(undefined);
  await again.close();
  await store.close();
});
