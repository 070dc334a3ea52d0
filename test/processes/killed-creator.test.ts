/**
 * A process is killed while it makes a store, before, within and after each operation, and often
 * the next one too, which makes it anew or goes on with it: the next opening has a store, and never
 * says that the file is none or is damaged. Who may not create finds a sound store or none.
 *
 * A kill keeps what was written; what a power cut keeps is tried in test/crash.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isVarveError, VarveError } from '../../src/errors.ts';
import { Store, type StoreOptions } from '../../src/index.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';
import { Child } from './child.ts';
import { randomFrom } from './seeded.mjs';

const script = fileURLToPath(new URL('./killed-creator.mjs', import.meta.url));
const moments = ['before', 'half', 'after'] as const;
/** More than it takes to make a store and commit once. */
const operationsMax = 40;

let folder: string;

beforeAll(() => {
  folder = makeTemporaryFolder();
});

afterAll(() => {
  removeTemporaryFolder(folder);
});

/** Runs a process that kills itself at an operation; whether it came so far as to commit. */
async function commits(path: string, operation: number, moment: string): Promise<boolean> {
  const child = new Child(script, path, `${operation}`, moment);
  const line = await child.line();
  expect(line === undefined || line === 'committed').toBe(true);
  expect(await child.ended()).toBe(line === undefined ? 'SIGKILL' : undefined);
  return line === 'committed';
}

/** One that may not create finds a store or none, and changes nothing where there is none. */
async function expectStoreOrNone(path: string, options: StoreOptions): Promise<void> {
  const before = existsSync(path) ? readFileSync(path) : undefined;
  let found: unknown;
  try {
    found = await Store.open(path, { create: false, ...options });
  } catch (error) {
    found = error;
  }
  if (isVarveError(found, 'VARVE_NOT_FOUND')) {
    expect(existsSync(path)).toBe(before !== undefined);
    if (before !== undefined) expect(Buffer.compare(readFileSync(path), before)).toBe(0);
    return;
  }
  if (found instanceof VarveError) throw found;
  await (found as Store).close();
}

/** At least so many commits are there, at most as many as there were processes; the store works. */
async function expectStore(path: string, least: number, most: number): Promise<void> {
  const store = await Store.open(path);
  expect(store.currentBatch).toBeGreaterThanOrEqual(least);
  expect(store.currentBatch).toBeLessThanOrEqual(most);
  expect(store.statistics().values).toBe(store.currentBatch);
  await store.put(new Uint8Array(20));
  await check.sound(store);
  await store.close();
  const again = await Store.open(path);
  expect(again.recovery.clean).toBe(true);
  await again.close();
}

/** Kills at this operation, and now and then the next process too; how many were killed. */
async function killAt(operation: number, moment: string): Promise<number> {
  const path = join(folder, `store-${operation}-${moment}`);
  const random = randomFrom(operation);
  if (await commits(path, operation, moment)) return 0;
  await expectStoreOrNone(path, { readOnly: true });
  const again = random(2) === 0;
  const next = moments[random(moments.length)] ?? 'half';
  const committed = again && (await commits(path, random(operation + 4), next));
  if (random(2) === 0) await expectStoreOrNone(path, {});
  await expectStore(path, committed ? 1 : 0, again ? 2 : 1);
  return again && !committed ? 2 : 1;
}

it('a process killed during a creation leaves a store that opens, or none', async () => {
  let kills = 0;
  let operations = 0;
  for (; operations < operationsMax; operations++) {
    const killed = await Promise.all(moments.map((moment) => killAt(operations, moment)));
    const sum = killed.reduce((one, other) => one + other, 0);
    if (sum === 0) break;
    kills += sum;
  }
  console.log(`creation: ${kills} kills at ${operations} operations`);
  // Opening, zeros, two headers, what the first commit writes, and their syncs.
  expect(operations).toBeGreaterThan(8);
  expect(operations).toBeLessThan(operationsMax);
}, 300_000);
