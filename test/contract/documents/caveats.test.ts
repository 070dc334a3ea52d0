/**
 * What the README measures under "Caveats": the file of a store that a guard holds, and of one that
 * nothing holds.
 *
 * The figures are read from the README and made anew here, so neither can change alone.
 */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { GrainId, Store } from '../../../src/index.ts';
import { storesOfTest } from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const caveats = /^## Caveats\n([\s\S]*?)^## /m.exec(readme)?.[1]?.replace(/\s+/g, ' ') ?? '';
const measured =
  /After 10,000 commits the file has (.*?) MB\. With a guard held from the start it has (.*?) MB: (.*?) MB of replaced values, and (.*?) MB of log/;

const valueCount = 1000;
const commits = 10_000;

/** 1,000 values of 1,000 bytes, one of them replaced in each commit, with a checkpoint in each. */
async function replaced(held: boolean): Promise<Store> {
  const { store } = await stores.wrapped();
  const bytes = new Uint8Array(1000).fill(7);
  const first = store.session();
  const ids: GrainId[] = Array.from({ length: valueCount }, () => first.push(bytes));
  await first.commit();
  await store.checkpointTo(store.currentBatch);
  if (held) store.guard();
  for (let commit = 0; commit < commits; commit++) {
    const session = store.session();
    session.archive(ids[commit % valueCount] as GrainId);
    ids[commit % valueCount] = session.push(bytes);
    session.checkpointTo(store.currentBatch);
    session.commitSync();
  }
  return store;
}

it('a guard that is never released costs as much space as the README says', async () => {
  const free = (await replaced(false)).statistics();
  const held = (await replaced(true)).statistics();
  const replacedBytes = held.archivedValues * 1000;
  const figures = [free.fileBytes, held.fileBytes, replacedBytes, held.commitLogBytes];
  const said = measured.exec(caveats)?.slice(1) ?? [];
  // Where the allocator puts things may move each figure a little.
  const ratios = figures.map((bytes, at) => Number(said[at]) / (bytes / 1e6));
  for (const ratio of ratios) expect(Math.abs(ratio - 1)).toBeLessThan(0.05);
  expect(held.commitLogBytes / commits).toBe(512);
  expect(held.oldestGuard).toBeGreaterThan(0);
  expect(free.archivedValues).toBeLessThan(10);
}, 60_000);
