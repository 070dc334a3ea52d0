/**
 * Compaction on a full disk: it needs no new space, so it moves what there is room for inside the
 * file, cuts it, and commits go on. A write that the disk refuses loses nothing.
 */

import { describe, expect, it, vi } from 'vitest';
import { isVarveError } from '../../src/errors.ts';
import { pageBytes } from '../../src/format/layout.ts';
import { takingTurns, ticking } from '../support/crash-scale.ts';
import { powerCut, restarted } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { type Capacity, SmallDisk } from '../support/disks/small-disk.ts';
import { Life } from '../support/lives/life.ts';
import { commitMore, reopened } from '../support/lives/trial.ts';
import { compareStore } from '../support/oracles/compare-store.ts';

const settings = { settleBytes: 4096 };

/** A store of which the oldest values are gone, on a disk with `spare` pages more than it takes. */
async function filled(kind: Capacity, spare: number): Promise<{ life: Life; small: SmallDisk }> {
  const disk = new SimulatedDisk({ records: false });
  const small = new SmallDisk(1 << 20, kind);
  disk.faultOf = (operation) => small.faultOf(operation);
  const life = new Life(disk, settings);
  life.tolerant = true;
  await life.open();
  for (let at = 0; at < 12; at++) await life.push(...Array(10).fill(500 + at), 60_000 + at);
  await life.commit((draft) => draft.archive(...life.live.slice(0, 90)));
  await life.checkpoint();
  for (let at = 0; at < 4; at++) await life.push(30 + at);
  const length = Math.ceil(life.store.statistics().fileBytes / pageBytes);
  small.pages = (kind === 'length' ? length : small.writtenPages) + spare;
  return { life, small };
}

/** Pushes until the disk has refused some values. */
async function fillUp(life: Life): Promise<void> {
  for (let refused = 0, tries = 0; refused < 3 && tries < 200; tries++) {
    const { length } = life.rejections;
    await life.push(20_000 + tries);
    refused += life.rejections.length - length;
  }
}

describe.each(['length', 'sparse'] as const)('on a disk that is full by %s', (kind) => {
  ticking(vi);
  takingTurns(vi);

  it.each([0, 1, 3, 8, 40])('with %i pages to spare, a compaction frees space', async (spare) => {
    const { life } = await filled(kind, spare);
    const { fileBytes } = life.store.statistics();
    const report = await life.compact();
    await compareStore(life.store, life.expected.current);
    if (report !== undefined) expect(report.fileBytesAfter).toBeLessThan(fileBytes);
    await commitMore(life);
    await life.compact();
    await compareStore(life.store, life.expected.current);
    await life.reopen();
    await compareStore(life.store, life.expected.current);
  });

  it('after values were refused: it frees space, and the store goes on', async () => {
    const { life, small } = await filled(kind, 4);
    await fillUp(life);
    expect(small.refusals).toBeGreaterThan(0);
    await life.commit((draft) => draft.archive(...life.live.slice(0, 14)));
    await life.checkpoint();
    const { fileBytes } = life.store.statistics();
    const report = await life.compact();
    await compareStore(life.store, life.expected.current);
    expect(report?.fileBytesAfter ?? fileBytes).toBeLessThanOrEqual(fileBytes);
    await life.push(9000);
    const { batch } = life.expected.current;
    await reopened(restarted(powerCut(life.disk.state, () => false)), life, batch);
  });

  it('each page less than it needs: it rejects with VARVE_IO, or moves', async () => {
    for (let spare = -30; spare <= 30; spare += 3) {
      const { life, small } = await filled(kind, spare);
      const error: unknown = await life.store.compact().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error !== undefined) expect(isVarveError(error, 'VARVE_IO')).toBe(true);
      while (life.expected.current.batch < life.store.currentBatch) life.expected.addOwn();
      await compareStore(life.store, life.expected.current);
      small.pages += 1000;
      await commitMore(life);
      await life.reopen();
      await compareStore(life.store, life.expected.current);
    }
  });
});
