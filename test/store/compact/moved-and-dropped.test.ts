/**
 * A map that has moved is dropped before the compaction hears of its batch: the pages are freed once.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, it, vi } from 'vitest';
import { type GrainId, Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { check } from '../../support/fixtures/store-checks.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

let time = 0;

/** At its `number`th own batch all values are freed, in commits that are made before it goes on. */
async function compactAndDrop(number: number, stops: boolean): Promise<boolean> {
  // Its calls take turns of the microtask queue only: commits are quicker than the compaction.
  const fileSystem = new SimulatedDisk({ records: false });
  const store = await Store.open('store', { fileSystem });
  const ids: GrainId[] = [];
  // Each has a map to itself.
  for (let at = 0; at < 10; at++) ids.push((await store.put(patternOf(90_000 + at))).id);
  const first = store.session();
  for (const id of ids.slice(0, 5)) first.archive(id);
  await store.checkpointTo(await first.commit());

  const controller = new AbortController();
  const { signal } = controller;
  let dropping: Promise<void> | undefined;
  const drop = async (): Promise<void> => {
    const session = store.session();
    for (const id of ids.slice(5)) session.archive(id);
    await store.checkpointTo(await session.commit());
    for (let at = 0; at < 3; at++) await store.put(patternOf(40 + at));
    if (stops) controller.abort(new Error('enough'));
  };
  let own = 0;
  const heard = (message: unknown): void => {
    if ((message as { sessions: number }).sessions > 0) return;
    own += 1;
    if (own !== number) return;
    dropping = drop();
    // The compaction has worked for long: it gives the event loop a turn.
    time += 20;
  };
  subscribe('varve:commit', heard);
  const error: unknown = await store.compact({ signal }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  unsubscribe('varve:commit', heard);
  if (error !== undefined) expect(error).toEqual(new Error('enough'));
  await dropping;
  for (let at = 0; at < 6; at++) await store.put(patternOf(30 + at));
  await store.compact();
  await check.sound(store);
  await store.close();
  const again = await Store.open('store', { fileSystem });
  await check.sound(again);
  await again.close();
  return dropping !== undefined;
}

it.each([false, true])(
  'whichever batch it is; the compaction is stopped then: %s',
  async (stops) => {
    vi.spyOn(performance, 'now').mockImplementation(() => {
      // So slow that it looks at the clock at each step.
      time += 0.6;
      return time;
    });
    let number = 1;
    while (await compactAndDrop(number, stops)) number += 1;
    expect(number).toBeGreaterThan(10);
  },
);
