/**
 * A session asked for an archived value as the embedded header and, in the same commit, for the
 * checkpoint that frees it. The header was looked up before the checkpoint was planned, so the commit
 * resolved with a header that named nothing.
 */

import { expect, it } from 'vitest';
import { Store } from '../../src/index.ts';

it('a value that the same batch frees does not become the embedded header', async () => {
  const store = await Store.inMemory();
  const { id } = await store.put(new Uint8Array(10));
  const archiving = store.session();
  archiving.archive(id);
  const batch = await archiving.commit();
  const session = store.session();
  session.setEmbeddedHeader(id);
  session.checkpointTo(batch);
  await expect(session.commit()).rejects.toMatchObject({ code: 'VARVE_NOT_FOUND' });
  expect(store.embeddedHeader).toBe(undefined);
  expect(store.get(id)?.length).toBe(10);
  expect(store.checkpoint).toBe(0);
  for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
  await store.close();
});
