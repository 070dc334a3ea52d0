/**
 * A compaction that ends early: by an error of the disk at any call, by its signal or its caller at
 * any await, by the close. Every map takes values again, the space adds up, every value is right, and
 * the next compaction does the rest.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, Store, VarveError } from '../../../src/index.ts';
import type { LongOperation } from '../../../src/util/operations/long-operation.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { crashScale } from '../../support/crash-scale.ts';
import type { DiskState } from '../../support/disks/disk-state.ts';
import { type Fault, SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';
import { check } from '../../support/fixtures/store-checks.ts';

/** Of the calls, one of so many fails. */
const stride = Math.ceil(3 / crashScale);

const limits = { mapBytesMin: 16 * 1024 };

interface Kept {
  readonly state: DiskState;
  readonly values: readonly {
    readonly id: GrainId;
    readonly length: number;
    readonly seed: number;
  }[];
}

/** A closed store of which a compaction cuts maps, moves maps, documents and log segments. */
async function scattered(): Promise<Kept> {
  const disk = new SimulatedDisk({ records: false });
  const lab = await openLab({ fileSystem: disk, limits });
  const all: { id: GrainId; length: number; seed: number }[] = [];
  const push = async (lengths: readonly number[]): Promise<void> => {
    const session = lab.session();
    for (const length of lengths) {
      const seed = all.length;
      all.push({ id: session.push(patternOf(length, seed)), length, seed });
    }
    await session.commit();
  };
  await push([150_000]);
  for (let at = 0; at < 6; at++) {
    await push([...Array.from({ length: 60 }, (_, one) => 900 + one), 30_000, 70_000 + at]);
  }
  const kept = all.filter(({ length }, at) => at % 60 === 7 || length > 70_002 - 1);
  const values = kept.filter(({ length }) => length < 150_000);
  const archiving = lab.session();
  for (const one of all) if (!values.includes(one)) archiving.archive(one.id);
  const freeing = lab.session();
  freeing.checkpointTo(await archiving.commit());
  await freeing.commit();
  await lab.close();
  return { state: disk.state, values };
}

const kept = scattered();

async function opened(): Promise<{ disk: SimulatedDisk; lab: CoreLab }> {
  const disk = new SimulatedDisk({ state: (await kept).state, records: false });
  return { disk, lab: await openLab({ fileSystem: disk, limits }) };
}

/** Nothing is left of it: each map that has room takes values, and all is sound. */
async function expectAtRest(lab: CoreLab): Promise<void> {
  const { core } = lab;
  const { values } = await kept;
  for (const stratum of core.atlas.strata()) {
    let reservable = 0;
    for (const map of stratum.maps) {
      expect(map.isStill).toBe(false);
      reservable += map.grains - map.takenGrains;
    }
    expect(stratum.freeGrains).toBe(reservable);
    const taken: number[] = [];
    for (let index = stratum.reserve(1); index >= 0; index = stratum.reserve(1)) taken.push(index);
    expect(taken.length).toBe(reservable);
    for (const index of taken) stratum.release(index, 1);
  }
  expect(core.space.leftFrom).toBe(Number.POSITIVE_INFINITY);
  for (const { id, length, seed } of values) {
    expectSameBytes(core.read(id) as Uint8Array, patternOf(length, seed));
  }
  expect(await lab.findings()).toEqual([]);
}

/** It goes on, and another compaction ends as one that nothing has stopped. */
async function expectGoesOn({ disk, lab }: { disk: SimulatedDisk; lab: CoreLab }): Promise<void> {
  await expectAtRest(lab);
  const session = lab.session();
  const id = session.push(patternOf(500));
  await session.commit();
  await lab.compact();
  await expectAtRest(lab);
  expectSameBytes(lab.core.read(id) as Uint8Array, patternOf(500));
  await lab.kill();
  const next = await openLab({ fileSystem: disk, limits });
  await expectAtRest(next);
  expectSameBytes(next.core.read(id) as Uint8Array, patternOf(500));
  await next.close();
}

async function callsOf(
  options: LongOperation = {},
): Promise<{ operations: number; reads: number }> {
  const { disk, lab } = await opened();
  const { operations, reads } = disk;
  const before = { operations: operations.length, reads };
  const report = await lab.compact(options);
  expect(report.movedBytes).toBeGreaterThan(100_000);
  expect(report.fileBytesAfter).toBeLessThan(report.fileBytesBefore - 300_000);
  const calls = {
    operations: disk.operations.length - before.operations,
    reads: disk.reads - before.reads,
  };
  await lab.kill();
  return calls;
}

/** Runs a compaction of which the call with that number fails; its error. */
async function failing(number: number, of: 'operations' | 'reads', fault: Fault): Promise<boolean> {
  const { disk, lab } = await opened();
  if (of === 'operations') {
    const from = disk.operations.length;
    disk.faultOf = ({ number: at, kind }) =>
      at === from + number && (kind === 'datasync') === (fault.kind === 'sync') ? fault : undefined;
  } else {
    const from = disk.reads;
    disk.readFaultOf = ({ number: at }) =>
      at === from + number ? { kind: 'error', code: 'EIO' } : undefined;
  }
  const error = await lab.compact().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  disk.faultOf = undefined;
  disk.readFaultOf = undefined;
  if (lab.core.poisoned) {
    expect(error).toMatchObject({ code: 'VARVE_POISONED' });
    await lab.kill();
    const next = await openLab({ fileSystem: disk, limits });
    await expectGoesOn({ disk, lab: next });
    return true;
  }
  if (error !== undefined) expect(error).toMatchObject({ code: 'VARVE_IO', path: 'lab' });
  await expectGoesOn({ disk, lab });
  return error !== undefined;
}

describe('a call of the disk fails during a compaction', () => {
  it.each([
    ['EIO', { kind: 'error', code: 'EIO' }],
    ['ENOSPC', { kind: 'error', code: 'ENOSPC' }],
  ] as const)('each write or truncate, with %s', async (_, fault) => {
    const { operations } = await callsOf();
    let failures = 0;
    for (let number = 0; number < operations; number += stride) {
      if (await failing(number, 'operations', fault)) failures += 1;
    }
    expect(failures).toBeGreaterThan(0);
  });

  it.each(['dropped', 'kept'] as const)('each sync, its writes %s', async (cache) => {
    const { operations } = await callsOf();
    let failures = 0;
    for (let number = 0; number < operations; number += stride) {
      if (await failing(number, 'operations', { kind: 'sync', cache })) failures += 1;
    }
    expect(failures).toBeGreaterThan(0);
  });

  it('each read', async () => {
    const { reads } = await callsOf();
    let failures = 0;
    for (let number = 0; number < reads; number++) {
      if (await failing(number, 'reads', { kind: 'error', code: 'EIO' })) failures += 1;
    }
    expect(failures).toBeGreaterThan(10);
  });
});

describe('a compaction is stopped', () => {
  it('by its signal, at each call of the disk', async () => {
    const { operations } = await callsOf();
    let stopped = 0;
    for (let number = 0; number < operations; number++) {
      const { disk, lab } = await opened();
      const controller = new AbortController();
      const reason = new Error('enough');
      const from = disk.operations.length;
      disk.faultOf = ({ number: at }) => {
        if (at === from + number) controller.abort(reason);
        return undefined;
      };
      const error = await lab.compact({ signal: controller.signal }).catch((one: unknown) => one);
      disk.faultOf = undefined;
      if (error === reason) stopped += 1;
      await expectGoesOn({ disk, lab });
    }
    expect(stopped).toBeGreaterThan(operations / 2);
  });

  it('by its signal before it begins: nothing is written', async () => {
    const { disk, lab } = await opened();
    const from = disk.operations.length;
    const signal = AbortSignal.abort(new Error('never'));
    await expect(lab.compact({ signal })).rejects.toThrow('never');
    expect(disk.operations.length).toBe(from);
    await expectGoesOn({ disk, lab });
  });

  it('by an error of onProgress', async () => {
    const { disk, lab } = await opened();
    const onProgress = (): void => {
      throw new Error('the caller failed');
    };
    await expect(lab.compact({ onProgress })).rejects.toThrow('the caller failed');
    await expectGoesOn({ disk, lab });
  });

  it('by the close, at each call of the disk', async () => {
    const { state, values } = await kept;
    const { operations } = await callsOf();
    for (let number = 0; number < operations; number += 3) {
      const disk = new SimulatedDisk({ state, records: false });
      const store = await Store.open('lab', { fileSystem: disk });
      const from = disk.operations.length;
      let closing: Promise<void> | undefined;
      disk.faultOf = ({ number: at }) => {
        if (at === from + number) closing ??= store.close();
        return undefined;
      };
      const error: unknown = await store.compact().catch((one: unknown) => one);
      if (closing !== undefined && error instanceof Error) {
        expect(error).toBeInstanceOf(VarveError);
        expect(error).toMatchObject({ code: 'VARVE_CLOSED' });
      }
      await (closing ?? store.close());
      disk.faultOf = undefined;
      const next = await Store.open('lab', { fileSystem: disk });
      expect(next.recovery).toMatchObject({ clean: true, replayedBatches: 0 });
      for (const { id, length, seed } of values) {
        expectSameBytes(next.get(id) as Uint8Array, patternOf(length, seed));
      }
      await check.sound(next);
      await next.close();
    }
  });

  it('by a kill: the next process compacts', async () => {
    const { operations } = await callsOf();
    for (let number = 0; number < operations; number += 3) {
      const { disk, lab } = await opened();
      const from = disk.operations.length;
      disk.faultOf = ({ number: at }) => (at === from + number ? { kind: 'end' } : undefined);
      await lab.compact().catch(() => undefined);
      const after = new SimulatedDisk({ state: disk.state, records: false });
      await expectGoesOn({ disk: after, lab: await openLab({ fileSystem: after, limits }) });
    }
  });
});
