/**
 * What every test of the forest asks in the end: is it sound, and does the store hold what the
 * trees reach and nothing else?
 *
 * Invariant: the leak check counts values in the store, not what the forest believes; it frees
 * everything first, so no snapshot may be held.
 */

import { expect } from 'vitest';
import type { Forest } from '../../src/forest/index.ts';

/** Everything that `verify` finds, deep. */
export async function findingsOf(forest: Forest): Promise<string[]> {
  const found: string[] = [];
  for await (const { message } of forest.verify({ deep: true })) found.push(message);
  return found;
}

/**
 * Once everything archived is freed, the store holds as many values as `verify` reaches: the
 * forest's root, the nodes, the long values, and `others` of the user's own.
 */
export async function expectNoLeak(forest: Forest, others = 0): Promise<void> {
  const { store } = forest;
  await store.checkpointTo(store.currentBatch);
  const { values, archivedValues } = store.statistics();
  expect(archivedValues).toBe(0);
  let reached = 0;
  for await (const { message } of forest.verify({ tally: (count) => (reached = count) })) {
    expect(message).toBe('nothing');
  }
  const root = store.embeddedHeader === undefined ? 0 : 1;
  expect(values).toBe(reached + root + others);
}

/** A forest that holds nothing but trees is sound, has no leak, and is closed. */
export async function endSound(forest: Forest): Promise<void> {
  expect(await findingsOf(forest)).toEqual([]);
  await expectNoLeak(forest);
  await forest.close();
}

/** An error with this code, `VARVE_` left out. */
export function code(name: string): Error {
  return expect.objectContaining({ code: `VARVE_${name}` }) as Error;
}
