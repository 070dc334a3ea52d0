/**
 * The dump in `spec/format.md` is what the code writes now, read by the tables that stand there.
 *
 * `npm run spec` brings it up to date. Whether the tables are right is held by layout.test.ts.
 */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { exampleStore } from '../../scripts/example-store.ts';
import { specWithDump } from '../../scripts/hex-dump.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { expectSameBytes } from '../support/bytes.ts';
import { expectSound, overwrite, storePath, textOf } from '../support/store-checks.ts';

const spec = readFileSync(new URL('../../spec/format.md', import.meta.url), 'utf8');

it('the dump in the spec is that of the store as the code writes it (else: npm run spec)', async () => {
  expect(spec).toBe(await specWithDump(spec));
});

it('the store of the dump is the same each time, and sound', async () => {
  const bytes = await exampleStore();
  expectSameBytes(await exampleStore(), bytes);
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, bytes);
  const store = await Store.open(storePath, { fileSystem });
  const root = store.embeddedHeader;
  expect(root === undefined ? undefined : textOf(store.get(root))).toBe('A core shows them all.');
  expect(store.currentBatch).toBe(3);
  expect(store.checkpoint).toBe(2);
  await expectSound(store);
  await store.close();
});

it('making the store of the dump leaves clock and random numbers as they were', async () => {
  const { getRandomValues } = globalThis.crypto;
  const { now } = Date;
  await exampleStore();
  expect(globalThis.crypto.getRandomValues).toBe(getRandomValues);
  expect(Date.now).toBe(now);
});
