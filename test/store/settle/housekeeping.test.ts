/**
 * Housekeeping: what rides on commits keeps going whatever the commits do, so that the log never
 * grows without end, and what is given back is used again.
 */

import { describe, expect, it, vi } from 'vitest';
import { headerSegmentsMax, pageBytes } from '../../../src/format/layout.ts';
import type { GrainId } from '../../../src/index.ts';
import { reservePagesFor } from '../../../src/store/file/space-shares.ts';
import type { HousekeepingRound } from '../../../src/store/settle/housekeeping.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';

function base({ core }: CoreLab): number {
  return core.headers.content.settled.base;
}

/** The zeros ahead of need in the rounds that were planned. */
function fillsOf(results: readonly { readonly value: unknown }[]): HousekeepingRound['writes'] {
  const rounds = results.map(({ value }) => value as HousekeepingRound);
  return rounds.flatMap(({ writes }) => writes).filter(({ purpose }) => purpose === 'fill');
}

it('zeros ahead of need are written on the calling thread', async () => {
  const lab = await openLab({});
  const plan = vi.spyOn(lab.core.housekeeping, 'plan');
  for (let round = 0; round < 60; round++) {
    const session = lab.session();
    session.push(patternOf(3000));
    session.commitSync();
  }
  const fills = fillsOf(plan.mock.results);
  expect(fills.length).toBeGreaterThan(0);
  for (const { blocking } of fills) expect(blocking).toBe(true);
  await lab.close();
});

it('large batches fill a long reserve once, and leave it to the store', async () => {
  const lab = await openLab({});
  const { space } = lab.core;
  // As in a file of 256 MiB without free pages: its reserve is longer than other fills.
  space.allocate(65_536);
  const plan = vi.spyOn(lab.core.housekeeping, 'plan');
  for (let round = 0; round < 30; round++) {
    const session = lab.session();
    session.push(patternOf(100_000));
    session.commitSync();
  }
  const fills = fillsOf(plan.mock.results);
  expect(fills).toHaveLength(1);
  expect(space.topUpReserve()).toBe(0);
  expect(space.freePages).toBeGreaterThan(reservePagesFor(space.endPage));
  await lab.kill();
});

describe('a settle', () => {
  it('begins in the end, though every batch leaves a map that can be given back', async () => {
    const lab = await openLab({ settleBytes: 1 });
    const live: GrainId[] = [];
    let longestWait = 0;
    let dropped = 0;
    for (let round = 0; round < 100; round++) {
      const session = lab.session();
      // Longer than every value before: no map that came free has room for it.
      live.push(session.push(patternOf((74 + round) * 2048 - 8)));
      if (live.length > 3) session.archive(live.shift() as GrainId);
      session.checkpointTo(lab.core.published.currentBatch);
      await session.commit();
      dropped += lab.core.atlas.leaving.size;
      longestWait = Math.max(longestWait, lab.core.published.currentBatch - base(lab));
    }
    expect(dropped).toBeGreaterThan(20);
    expect(longestWait).toBeLessThan(20);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });

  it('keeps up with any number of small batches, in a log of bounded length', async () => {
    const lab = await openLab({ settleBytes: 2000 });
    const ids: GrainId[] = [];
    let segments = 0;
    for (let round = 0; round < 3000; round++) {
      const session = lab.session();
      ids.push(session.push(patternOf(round % 50)));
      if (ids.length > 20) session.archive(ids.shift() as GrainId);
      if (round % 10 === 0) session.checkpointTo(lab.core.published.currentBatch);
      session.commitSync();
      segments = Math.max(segments, lab.core.log.segments.length);
    }
    expect(segments).toBeLessThan(4);
    expect(lab.core.published.currentBatch - base(lab)).toBeLessThan(30);
    expect(lab.core.reader.length()).toBeLessThan(850 * 1024);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });

  it.each([
    ['one value a commit', 1, 3000],
    ['a thousand values a commit', 1000, 60],
  ])('leaves little to be replayed after a kill: %s', async (_, values, commits) => {
    const lab = await openLab({});
    let most = 0;
    let settles = 0;
    for (let commit = 0; commit < commits; commit++) {
      const session = lab.session();
      for (let at = 0; at < values; at++) session.push(patternOf(20 + (at % 3)));
      const before = lab.core.log.replaySinceSettle;
      session.commitSync();
      most = Math.max(most, lab.core.log.replaySinceSettle);
      if (lab.core.log.replaySinceSettle < before) settles += 1;
    }
    // One batch reaches the bound; the settle begins with the next, when the last is done.
    expect(most).toBeLessThan(8192 + 3 * (values + 16));
    expect(settles).toBeGreaterThan(1);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });

  it('leaves behind the segments that it settled, though the log in them is kept', async () => {
    const lab = await openLab({ settleBytes: 20_000 });
    let listed = 0;
    while (lab.core.log.segments.length < headerSegmentsMax + 5) {
      const session = lab.session();
      session.setEmbeddedHeader(null);
      session.commitSync();
      listed = Math.max(listed, lab.core.headers.content.segments.length);
    }
    expect(listed).toBeLessThan(5);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });

  it('is forced before the header can list no more segments, however rarely it was asked for', async () => {
    const lab = await openLab({ settleBytes: 1024 ** 3 });
    let listed = 0;
    while (base(lab) === 0 && listed < headerSegmentsMax) {
      // Lengths that differ make a record of 8 sectors: eight of them fill a lane.
      const session = lab.session();
      for (let at = 0; at < 530; at++) session.push(new Uint8Array(at % 2));
      session.commitSync();
      listed = Math.max(listed, lab.core.headers.content.segments.length);
    }
    expect(listed).toBeGreaterThan(headerSegmentsMax - 12);
    expect(listed).toBeLessThan(headerSegmentsMax);
    expect(lab.core.headers.content.segments.length).toBeLessThan(5);
    expect(await lab.findings(false)).toEqual([]);
    await lab.close();
  });
});

describe('the next segment of the log', () => {
  it('goes elsewhere when its place cannot be written', async () => {
    const disk = new SimulatedDisk({ records: false });
    const lab = await openLab({ fileSystem: disk });
    const { log } = lab.core;
    const tried: number[] = [];
    disk.faultOf = ({ position }) => {
      if (log.next?.page !== position / pageBytes) return undefined;
      tried.push(position);
      // That one place is broken, for good.
      return position === tried[0] ? { kind: 'error', code: 'EIO' } : undefined;
    };
    while (log.segments.length < 3) {
      const session = lab.session();
      session.setEmbeddedHeader(null);
      session.commitSync();
    }
    expect(tried.filter((place) => place === tried[0])).toHaveLength(1);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });
});

it('a round whose plan fails in the middle poisons the store, and writes none of its parts', async () => {
  const lab = await openLab();
  const session = lab.session();
  session.push(new Uint8Array(10));
  const { housekeeping } = lab.core;
  const failing = vi.spyOn(housekeeping, 'plan').mockImplementation(() => {
    throw new TypeError('a defect');
  });
  await expect(session.commit()).rejects.toMatchObject({ code: 'VARVE_POISONED' });
  failing.mockRestore();
  expect(lab.core.poisoned).toBe(true);
  await lab.kill();
});
