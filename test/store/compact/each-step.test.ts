/**
 * A session commits between two steps of a compaction, whichever they are: its values go to grains in
 * maps that are about to move, and only the log has them then.
 */

import { afterEach, expect, it, vi } from 'vitest';
import { type GrainId, Store } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { powerCut, restarted } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { check } from '../../support/fixtures/store-checks.ts';

interface Value {
  readonly id: GrainId;
  readonly bytes: Uint8Array;
}

afterEach(() => {
  vi.restoreAllMocks();
});

const pushed = (store: Store, values: Value[], lengths: readonly number[]): void => {
  const session = store.session();
  for (const length of lengths) {
    const bytes = patternOf(length, values.length);
    values.push({ id: session.push(bytes), bytes });
  }
  session.commitSync();
};

function archived(store: Store, values: readonly Value[]): number {
  const session = store.session();
  for (const { id } of values) session.archive(id);
  return session.commitSync();
}

function expectValues(store: Store, values: readonly Value[]): void {
  for (const { id, bytes } of values) expectSameBytes(store.get(id) as Uint8Array, bytes);
}

/** A store with free space before its maps, in which some grains are free. */
async function opened(settleBytes: number) {
  const disk = new SimulatedDisk({ records: false });
  const options = { fileSystem: disk, settleBytes };
  const store = await Store.open('store', options);
  const values: Value[] = [];
  pushed(store, values, [300_000, 200_000]);
  for (let at = 0; at < 4; at++) pushed(store, values, Array(50).fill(400));
  const kept = values.filter((_, at) => at > 1 && at % 5 > 0);
  await store.checkpointTo(
    archived(
      store,
      values.filter((one) => !kept.includes(one)),
    ),
  );
  return { disk, options, store, values: kept };
}

/** Commits at the step with that number and at `more` after it; false if the compaction has fewer. */
async function compactWith(
  number: number,
  { settleBytes, more }: { settleBytes: number; more: number },
): Promise<boolean> {
  const { disk, options, store, values } = await opened(settleBytes);
  let step = 0;
  const onProgress = (): void => {
    step += 1;
    if (step < number || step > number + more) return;
    archived(store, values.splice(10, 2));
    for (let at = 0; at < 3; at++) pushed(store, values, [390 + at, 400]);
  };
  const { movedBytes } = await store.compact({ onProgress });
  expect(movedBytes).toBeGreaterThan(50_000);
  expectValues(store, values);
  await check.sound(store);
  const cut = restarted(powerCut(disk.state, () => false));
  for (const state of [disk.state, cut]) {
    const fileSystem = new SimulatedDisk({ state, records: false });
    const next = await Store.open('store', { ...options, fileSystem });
    expectValues(next, values);
    await check.sound(next);
    await next.close();
  }
  await store.close();
  return step >= number;
}

it.each([
  { settleBytes: 512, more: 0 },
  { settleBytes: 512, more: 3 },
  { settleBytes: 1024 * 1024, more: 0 },
])('%o', async (how) => {
  // Progress is reported after each step.
  let time = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => {
    time += 101;
    return time;
  });
  let number = 1;
  while (await compactWith(number, how)) number += 1;
  expect(number).toBeGreaterThan(10);
});
