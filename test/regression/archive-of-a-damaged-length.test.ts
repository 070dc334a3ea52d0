/**
 * Archiving read the length in a value's prefix unchecked: where it had rotted to another that its
 * grains could hold, the counters of the store were wrong from then on.
 */

import { expect, it } from 'vitest';
import { memoryFileSystem, Store } from '../../src/index.ts';

it('a value whose stored length is not that of its grains cannot be archived', async () => {
  const fileSystem = memoryFileSystem();
  const first = await Store.open('store', { fileSystem });
  const text = 'sought in the file by these very words, all of them';
  const { id } = await first.put(new TextEncoder().encode(text.padEnd(text.length + 600, '.')));
  await first.close();

  const file = await fileSystem.open('store', { create: false, exclusive: false, readOnly: false });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  const offset = Buffer.from(bytes.buffer).indexOf(text) - 8;
  expect(bytes[offset]).toBe((text.length + 600) % 256);
  // 256 bytes fewer.
  file.writeSync([Uint8Array.of((text.length + 600 - 256) >> 8)], offset + 1);
  await file.close();

  const store = await Store.open('store', { fileSystem });
  const session = store.session();
  expect(() => session.archive(id)).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPT' }));
  session.abandon();
  await store.close();
});
