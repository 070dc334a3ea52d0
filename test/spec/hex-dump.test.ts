/**
 * The dumps in `spec/format.md` are what the code writes now, read by the tables that stand there.
 *
 * `npm run spec` brings them up to date. Whether the tables are right is held by layout.test.ts.
 */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { exampleStore } from '../../scripts/example-store.ts';
import { specWithDump } from '../../scripts/hex-dump.ts';
import { spreadStore } from '../../scripts/spread-dump.ts';
import { GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { expectSameBytes } from '../support/bytes.ts';
import { check, overwrite, storePath, textOf } from '../support/fixtures/store-checks.ts';

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
  await check.sound(store);
  await store.close();
});

it('the store of the second dump is the same each time, and sound', async () => {
  const bytes = await spreadStore();
  expectSameBytes(await spreadStore(), bytes);
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, bytes);
  const store = await Store.open(storePath, { fileSystem, readOnly: true });
  const long = store.get(GrainId.of(0, 0, 0));
  expect(textOf(long?.subarray(4080, 4096))).toBe('It goes on here.');
  expect(store.statistics()).toMatchObject({ values: 901, valueBytes: 4200 });
  await check.sound(store);
  await store.close();
});

it('making the store of the dump leaves clock and random numbers as they were', async () => {
  const { getRandomValues } = globalThis.crypto;
  const { now } = Date;
  await exampleStore();
  expect(globalThis.crypto.getRandomValues).toBe(getRandomValues);
  expect(Date.now).toBe(now);
});
