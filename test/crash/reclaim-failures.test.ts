/**
 * What goes wrong while a full disk's space is reclaimed: that comes after a batch that is durable
 * and visible, so it is never that batch's fault. A read or write that fails leaves all maps in use,
 * a failed sync or a fault of varve's own poisons the store for what comes next, and nothing is
 * written any more.
 */

import { describe, expect, it } from 'vitest';
import { pageBytes } from '../../src/format/layout.ts';
import type { GrainId } from '../../src/index.ts';
import type { StoreCore } from '../../src/store/state/core.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { SmallDisk } from '../support/disks/small-disk.ts';
import { addMapTo, type CoreLab, headedGrains, openLab } from '../support/fixtures/core-lab.ts';
import { present } from '../support/fixtures/store-checks.ts';
import type { Random } from '../support/random.ts';
import { FullDiskLife } from './full-disk.ts';

const mapCount = 3;

/** A store opened again on a disk that is full: three maps with heads that hold nothing. */
async function withEmptyMaps(): Promise<{ disk: SimulatedDisk; lab: CoreLab; kept: GrainId }> {
  const disk = new SimulatedDisk({ records: false });
  const first = await openLab({ fileSystem: disk });
  for (let map = 0; map < mapCount; map++) addMapTo(first.core, { grains: headedGrains });
  const keeping = first.session();
  const kept = keeping.push(patternOf(50_000));
  await keeping.commit();
  const ids: GrainId[] = [];
  for (let map = 0; map < mapCount; map++) {
    const session = first.session();
    for (let at = 0; at < 70; at++) ids.push(session.push(patternOf(8100)));
    await session.commit();
  }
  const archiving = first.session();
  for (const id of ids) archiving.archive(id);
  const freeing = first.session();
  freeing.checkpointTo(await archiving.commit());
  await freeing.commit();
  await first.close();
  const lab = await openLab({ fileSystem: disk });
  const room = new SmallDisk(lab.file.length() / pageBytes, 'length');
  disk.faultOf = (operation) => room.faultOf(operation);
  expect(lab.core.atlas.emptyMaps().filter(({ map }) => map.hasHead).length).toBe(mapCount);
  return { disk, lab, kept };
}

/** No room is found for a value: what can be is given back. */
async function refuse(lab: CoreLab): Promise<void> {
  const session = lab.session();
  await expect(async () => {
    session.push(patternOf(8_000_000));
    await session.commit();
  }).rejects.toMatchObject({ code: 'VARVE_IO' });
}

/** Pages of marks that values are not given grains of. */
function retiredPages(core: StoreCore): number {
  let pages = 0;
  for (const { maps } of core.atlas.strata()) {
    for (const map of maps) {
      if (map.opened) pages += map.pages.filter(({ listed }) => listed < 0).length;
    }
  }
  return pages;
}

async function readsWhileReclaiming(): Promise<number> {
  const { disk, lab } = await withEmptyMaps();
  let reads = 0;
  disk.readFaultOf = () => {
    reads += 1;
    return undefined;
  };
  await refuse(lab);
  disk.readFaultOf = undefined;
  expect(lab.core.atlas.emptyMaps()).toEqual([]);
  await lab.close();
  return reads;
}

describe('while a full disk is reclaimed', () => {
  it('a read that fails leaves every map in use, and the next time all are given back', async () => {
    const reads = await readsWhileReclaiming();
    expect(reads).toBeGreaterThanOrEqual(mapCount);
    for (let failing = 0; failing < reads; failing++) {
      const { disk, lab } = await withEmptyMaps();
      let read = 0;
      disk.readFaultOf = () => (read++ === failing ? { kind: 'error', code: 'EIO' } : undefined);
      await refuse(lab);
      disk.readFaultOf = undefined;
      expect(retiredPages(lab.core)).toBe(0);
      await refuse(lab);
      expect(lab.core.atlas.emptyMaps()).toEqual([]);
      for (const length of [100, 1000, 4000, 100]) {
        const session = lab.session();
        for (let at = 0; at < 5; at++) session.push(patternOf(length));
        await session.commit();
      }
      expect(await lab.findings()).toEqual([]);
      await lab.close();
    }
  });

  it('a fault of its own is reported to the next commit, not to the durable batch before', async () => {
    const { disk, lab, kept } = await withEmptyMaps();
    await refuse(lab);
    lab.core.atlas.emptyMaps = () => {
      throw new Error('a fault of the code');
    };
    const bytes = patternOf(70);
    const session = lab.session();
    const id = session.push(bytes);
    const batch = await session.commit();
    expect(lab.core.published.currentBatch).toBe(batch);
    expect(lab.core.read(id)).toEqual(bytes);
    const next = lab.session();
    expect(() => next.push(bytes)).toThrow(expect.objectContaining({ code: 'VARVE_POISONED' }));
    await lab.kill();
    const again = await openLab({ fileSystem: disk });
    expect(again.core.read(id)).toEqual(bytes);
    expectSameBytes(present(again.core.read(kept)), patternOf(50_000));
    expect(await again.findings()).toEqual([]);
    await again.close();
  });

  /** A full store, thousands of its values archived; a checkpoint frees them in several batches. */
  async function toBeFreed(): Promise<FullDiskLife> {
    const lengthOf = (random: Random): number => 20 + random.below(80);
    const life = new FullDiskLife({ seed: 9, kind: 'length', pages: 300, step: 200, lengthOf });
    await life.open();
    while (await life.put());
    for (let at = 0; at < 3; at++) await life.remove(life.pick(1500), 'none');
    return life;
  }

  it('a sync that fails poisons the store; the batch before was durable, and resolves', async () => {
    const { disk, lab, kept } = await withEmptyMaps();
    const { faultOf } = disk;
    let syncs = 0;
    disk.faultOf = (operation) => {
      const fails = operation.kind === 'datasync' && syncs++ > 0;
      return fails ? { kind: 'sync', cache: 'dropped' } : faultOf?.(operation);
    };
    const bytes = patternOf(70);
    const session = lab.session();
    const id = session.push(bytes);
    const [, batch] = await Promise.all([refuse(lab), session.commit()]);
    expect(syncs).toBe(2);
    expect(lab.core.published.currentBatch).toBe(batch);
    expect(lab.core.poisoned).toBe(true);
    expect(disk.operations.length).toBe(disk.begunAtFailure);
    await lab.kill();
    const again = await openLab({ fileSystem: new SimulatedDisk({ state: disk.state }) });
    expect(again.core.read(id)).toEqual(bytes);
    expectSameBytes(present(again.core.read(kept)), patternOf(50_000));
    expect(await again.findings()).toEqual([]);
    await again.close();
  });

  it('a sync of a checkpoint in steps that fails poisons it: nothing is written after it', async () => {
    const whole = await toBeFreed();
    const { operations } = whole.disk;
    const from = operations.length;
    await whole.store.checkpointTo(whole.store.currentBatch);
    const syncs = operations.slice(from).filter(({ kind }) => kind === 'datasync').length;
    expect(syncs).toBeGreaterThan(6);
    await whole.close();
    for (let failing = 0; failing < syncs; failing++) {
      const life = await toBeFreed();
      const { disk, store } = life;
      const { faultOf } = disk;
      let sync = 0;
      disk.faultOf = (operation) => {
        const fails = operation.kind === 'datasync' && sync++ === failing;
        return fails ? { kind: 'sync', cache: 'kept' } : faultOf?.(operation);
      };
      const before = store.currentBatch;
      const checkpoint = store.checkpointTo(before);
      await expect(checkpoint).rejects.toMatchObject({ code: 'VARVE_POISONED' });
      expect(disk.operations.length).toBe(disk.begunAtFailure);
      await expect(store.put(patternOf(30))).rejects.toMatchObject({ code: 'VARVE_POISONED' });
      await store.close().catch(() => undefined);
      expect(disk.operations.length).toBe(disk.begunAtFailure);
    }
  });
});
