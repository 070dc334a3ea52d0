/**
 * Verification beside a compaction and beside `trim`: pages that are taken and that no structure owns
 * yet are neither lost nor free. And what a settle frees while a segment of the log is copied is freed
 * once.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { Compaction, type CompactionStep } from '../../../src/store/compact/compaction.ts';
import { patternOf } from '../../support/bytes.ts';
import type { DiskState } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';
import { check } from '../../support/fixtures/store-checks.ts';

const count = 12_000;
const options = { settleBytes: 2048, limits: { mapBytesMin: 16_384 } };

async function archive(lab: CoreLab, ids: readonly GrainId[]): Promise<void> {
  const session = lab.session();
  for (const id of ids) session.archive(id);
  await session.commit();
}

async function checkpointTo(lab: CoreLab, batch: number): Promise<void> {
  const session = lab.session();
  session.checkpointTo(batch);
  await session.commit();
}

async function push(lab: CoreLab, lengths: readonly number[]): Promise<GrainId[]> {
  const session = lab.session();
  const ids = lengths.map((length) => session.push(patternOf(length)));
  await session.commit();
  return ids;
}

/**
 * A store with free pages at its start, and at its end a settled segment of the log with records that
 * have bodies of their own. `early`: the batch of the first of these.
 */
async function prepared(): Promise<{ lab: CoreLab; early: number; state: DiskState }> {
  const disk = new SimulatedDisk({ records: false });
  const lab = await openLab({ ...options, fileSystem: disk });
  const large = await push(lab, [600_000, 500_000]);
  const ids = await push(lab, Array<number>(count).fill(20));
  const maps: GrainId[] = [];
  for (let at = 0; at < 12; at++) maps.push(...(await push(lab, Array<number>(8).fill(3000))));
  // The log goes on behind the values.
  for (let batch = 0; batch < 90; batch++) await push(lab, [20 + (batch % 7)]);
  await archive(lab, [...large, ...maps.filter((_, at) => at % 8 > 2)]);
  const before = lab.core.published.currentBatch;
  await archive(
    lab,
    ids.slice(0, count / 2).filter((_, at) => at % 2 === 0),
  );
  const early = lab.core.published.currentBatch;
  await archive(
    lab,
    ids.slice(count / 2).filter((_, at) => at % 2 === 0),
  );
  for (let batch = 0; batch < 270; batch++) await push(lab, [20 + (batch % 7)]);
  await checkpointTo(lab, before);
  return { lab, early, state: disk.state };
}

/** Carries out the steps of a compaction; calls `before` each. */
async function compactBy(
  { core, committer }: CoreLab,
  before: (step: CompactionStep, number: number) => Promise<void>,
): Promise<void> {
  const steps = new Compaction(core, 16_384, 0).steps();
  let step = steps.next(true);
  for (let number = 0; step.done !== true; number++) {
    const one = step.value;
    await before(one, number);
    let answer = true;
    if (one.do === 'batch') answer = await committer.commitOwn(one.batch);
    else if (one.do === 'sync') await committer.syncCopies();
    else if (one.do === 'write') {
      const { offset, bytes } = one.piece;
      await core.writer.perform(core.writer.write({ offset, chunks: [bytes] }));
    }
    step = steps.next(answer);
  }
}

/** True if what is lent now are copies of the log. */
function copiesLog({ log, lent }: CoreLab['core']): boolean {
  const lengths = [...log.segments, ...log.bodies].map(({ pages }) => pages);
  const extents = [...lent.extents];
  return extents.length > 0 && extents.every(({ pages }) => lengths.includes(pages));
}

it('finds nothing wrong at any step of a compaction', async () => {
  const { lab } = await prepared();
  const { core } = lab;
  const written = { maps: 0, log: 0 };
  let moves = 0;
  await compactBy(lab, async (step) => {
    if (step.do === 'batch') moves += step.batch.moves?.length ?? 0;
    expect(await lab.findings(false)).toEqual([]);
    if (step.do !== 'write') return;
    written[moves > 0 && copiesLog(core) ? 'log' : 'maps'] += 1;
  });
  expect(written.maps).toBeGreaterThan(0);
  expect(written.log).toBeGreaterThan(0);
  expect([...core.lent.extents]).toEqual([]);
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});

it('finds nothing wrong if a settle frees the body of a record while it is copied', async () => {
  const { lab: first, early, state } = await prepared();
  const numbers: number[] = [];
  await compactBy(first, async (step, number) => {
    if (step.do === 'write' && copiesLog(first.core)) numbers.push(number);
  });
  await first.close();
  let freed = 0;
  for (const at of numbers) {
    const lab = await openLab({
      ...options,
      fileSystem: new SimulatedDisk({ state, records: false }),
    });
    const { core, committer } = lab;
    await compactBy(lab, async (_, number) => {
      if (number !== at) return;
      const bodies = core.log.bodies.length;
      await checkpointTo(lab, early);
      while (!core.housekeeping.canSettle) await committer.commitOwn({});
      await committer.commitOwn({ settles: true });
      while (!core.housekeeping.canSettle) await committer.commitOwn({});
      if (copiesLog(core) && core.log.bodies.length < bodies) freed += 1;
    });
    expect(await lab.findings(false)).toEqual([]);
    await push(lab, [30_000]);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  }
  expect(freed).toBeGreaterThan(0);
});

it('finds nothing wrong while free pages are given back to the file system', async () => {
  const disk = new WrappedFileSystem(memoryFileSystem());
  const store = await Store.open('store', { fileSystem: disk });
  const ids: GrainId[] = [];
  for (let at = 0; at < 10; at++) ids.push((await store.put(patternOf(100_000 + at))).id);
  const session = store.session();
  for (const id of ids.filter((_, at) => at % 3 === 0)) session.archive(id);
  await store.checkpointTo(await session.commit());
  // It drops the maps.
  await store.put(patternOf(10));
  await store.close();
  const again = await Store.open('store', { fileSystem: disk });
  let trims = 0;
  disk.before = ({ operation }) => {
    if (operation === 'trim') trims += 1;
  };
  const gate = disk.hold('trim');
  const trimming = again.trim();
  await gate.reached();
  await check.sound(again);
  // Values that are stored meanwhile go elsewhere.
  await again.put(patternOf(90_000));
  await check.sound(again);
  gate.open();
  expect((await trimming).trimmedBytes).toBeGreaterThan(100_000);
  await check.sound(again);
  expect(trims).toBeGreaterThan(0);
  await again.close();
});
