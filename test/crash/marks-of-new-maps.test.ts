/**
 * The zeros that back the marks of a new map: a write between the values of a batch and its record.
 * A power cut at it, or between it and the record, leaves nothing of the batch; where it fails, or
 * the record after it, the batch is rejected and the next one has its place.
 */

import { describe, expect, it } from 'vitest';
import { pageBytes, sectorBytes } from '../../src/format/layout.ts';
import type { GrainId } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { type DiskOperation, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { type CoreLab, openLab } from '../support/fixtures/core-lab.ts';
import { present } from '../support/fixtures/store-checks.ts';
import { Random } from '../support/random.ts';

const lengths = [4000, 30_000, 200_000];
const kept = patternOf(500);

function push(lab: CoreLab): { ids: GrainId[]; committed: Promise<number> } {
  const session = lab.session();
  const ids = lengths.map((length) => session.push(patternOf(length)));
  return { ids, committed: session.commit() };
}

/** A store with one value, and the batch that brings several maps beyond what has been written. */
async function opened(): Promise<{ disk: SimulatedDisk; lab: CoreLab; id: GrainId }> {
  const disk = new SimulatedDisk();
  const lab = await openLab({ fileSystem: disk });
  const session = lab.session();
  const id = session.push(kept);
  await session.commit();
  return { disk, lab, id };
}

/** Whether the operation is the write of zeros over the marks of a new map. */
function backsMarks({ core }: CoreLab, { kind, position }: DiskOperation): boolean {
  if (kind !== 'write') return false;
  for (const { maps } of core.atlas.strata()) {
    if (maps.some((map) => !map.marksBacked && map.page * pageBytes === position)) return true;
  }
  return false;
}

interface Traced {
  readonly disk: SimulatedDisk;
  readonly id: GrainId;
  readonly ids: readonly GrainId[];
  /** Numbers of the writes over marks, and of the write of the record after them. */
  readonly marks: readonly number[];
  readonly record: number;
  /** Number of the operation after the batch. */
  readonly end: number;
}

async function traced(): Promise<Traced> {
  const { disk, lab, id } = await opened();
  const marks: number[] = [];
  disk.faultOf = (operation) => {
    if (backsMarks(lab, operation)) marks.push(operation.number);
    return undefined;
  };
  const { ids, committed } = push(lab);
  await committed;
  disk.faultOf = undefined;
  const end = disk.operations.length;
  const last = marks.at(-1) ?? end;
  const record = disk.operations.findIndex(({ number, kind }) => number > last && kind === 'write');
  await lab.kill();
  return { disk, id, ids, marks, record, end };
}

/** The store of the state is sound, has the value before, and takes the batch (again). */
async function goesOn(state: DiskState, id: GrainId, expected: readonly GrainId[] | undefined) {
  const disk = new SimulatedDisk({ state, records: false });
  const lab = await openLab({ fileSystem: disk });
  expectSameBytes(present(lab.core.read(id)), kept);
  expect(lab.core.published.currentBatch).toBe(expected === undefined ? 1 : 2);
  for (const [at, one] of (expected ?? []).entries()) {
    expectSameBytes(present(lab.core.read(one)), patternOf(lengths[at] as number));
  }
  expect(await lab.findings()).toEqual([]);
  const { ids, committed } = push(lab);
  await committed;
  await lab.kill();
  const again = await openLab({ fileSystem: new SimulatedDisk({ state: cutOf(disk.state) }) });
  for (const [at, one] of ids.entries()) {
    expectSameBytes(present(again.core.read(one)), patternOf(lengths[at] as number));
  }
  expect(await again.findings()).toEqual([]);
  await again.close();
}

function cutOf(state: DiskState, keeps = (): boolean => false): DiskState {
  return restarted(powerCut(state, keeps));
}

describe('the zeros that back the marks of a new map', () => {
  it('are written before the record: a power cut up to it leaves nothing of the batch', async () => {
    const { disk, id, marks, record, end } = await traced();
    expect(marks.length).toBeGreaterThan(0);
    expect(record).toBeGreaterThan(marks.at(-1) as number);
    expect(record).toBeLessThan(end);
    for (let at = marks[0] as number; at <= record; at++) {
      const state = disk.before[at] as DiskState;
      const random = new Random(at);
      await goesOn(cutOf(state), id, undefined);
      await goesOn(
        cutOf(state, () => true),
        id,
        undefined,
      );
      for (let fate = 0; fate < 3; fate++) {
        await goesOn(
          cutOf(state, () => random.chance(0.5)),
          id,
          undefined,
        );
      }
    }
  });

  it('are synced with the record: a power cut after the sync loses nothing', async () => {
    const { disk, id, ids, end } = await traced();
    const state = disk.before[end] ?? disk.state;
    await goesOn(cutOf(state), id, ids);
  });

  it('reject the batch if their write or the record fails, and the next batch has its place', async () => {
    const { marks, record } = await traced();
    for (const failing of [...marks, record]) {
      const { disk, lab, id } = await opened();
      let failed: DiskOperation | undefined;
      disk.faultOf = (operation) => {
        if (operation.number !== failing) return undefined;
        failed = operation;
        return { kind: 'error', code: 'EIO' };
      };
      const { committed } = push(lab);
      await expect(committed).rejects.toMatchObject({ code: 'VARVE_IO' });
      expect((failed?.bytes ?? 0) % sectorBytes).toBe(0);
      disk.faultOf = undefined;
      await goesOn(cutOf(disk.state), id, undefined);
      const { ids, committed: again } = push(lab);
      await again;
      expect(await lab.findings()).toEqual([]);
      const after = cutOf(disk.state);
      await lab.kill();
      await goesOn(after, id, ids);
    }
  });
});
