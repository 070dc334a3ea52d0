/**
 * Settling that fails: every write that rides on the commits (settled structures, file headers, log
 * segments) fails, once or again and again for a while. Once is nobody's business; a failure that
 * lasts surfaces at the next commit, and ends with the fault: later commits are accepted, and the
 * settle is completed.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { decodeFileHeader } from '../../src/format/file-header.ts';
import {
  kindBasin,
  kindMap,
  kindMarks,
  kindRoot,
  magic,
  pageBytes,
} from '../../src/format/layout.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { crashScale, ticking } from '../support/crash-scale.ts';
import { powerCut, restarted } from '../support/disks/disk-state.ts';
import { type DiskOperation, type Fault, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { headedLimits } from '../support/fixtures/core-lab.ts';
import { Life } from '../support/lives/life.ts';
import type { LifeSettings } from '../support/lives/life-settings.ts';
import { reopened } from '../support/lives/trial.ts';
import { compareStore } from '../support/oracles/compare-store.ts';

/** Strata too small for a map with a head, but where that is what cannot be written. */
function settingsFor(purpose: string): LifeSettings {
  const limits = purpose === 'the head of a map' ? headedLimits : { grainsPerStratum: 64 };
  return { settleBytes: 2048, limits };
}

const kinds = new Map([
  [kindMarks, 'a mark page'],
  [kindMap, 'the head of a map'],
  [kindBasin, 'a basin'],
  [kindRoot, 'the root'],
]);
const names = [...kinds.values(), 'a file header', 'a log segment'];
const fault: Fault = { kind: 'error', code: 'ENOSPC' };
let failures = 0;

/** What a write is for; undefined for values, records and space ahead. */
function purposeOf({ kind, first }: DiskOperation): string | undefined {
  if (kind !== 'write' || first === undefined || first.length < 4) return undefined;
  const named = kinds.get(getU32(first, 0));
  if (named !== undefined) return named;
  return magic.every((byte, at) => first[at] === byte) ? 'a file header' : undefined;
}

/** Where the log segments begin that a file header came to list. */
function segmentPositions(operations: readonly DiskOperation[]): Set<number> {
  const positions = new Set<number>();
  for (const { first } of operations) {
    const header = first === undefined ? undefined : decodeFileHeader(first, 0);
    if (header?.state !== 'valid') continue;
    for (const { page } of header.header.segments) positions.add(page * pageBytes);
  }
  return positions;
}

/** A life whose settles touch several strata, and whose log goes into a second segment. */
async function manyCommits(life: Life, count: number): Promise<void> {
  for (let batch = 0; batch < count; batch++) {
    await life.commit((draft) => {
      draft.archive(...life.live.slice(0, 3));
      for (let at = 0; at < 24; at++) draft.push(90 + at);
    });
    const { rejections } = life;
    const { length } = rejections;
    await life.checkpoint();
    // What has surfaced does not do so again before it has been tried once more.
    expect(rejections.slice(length)).toEqual(rejections.slice(length).map(() => 'VARVE_IO'));
  }
}

/** A next log segment is made when the first is half full. */
function rounds(purpose: string): number {
  return purpose === 'a log segment' ? 50 : 14;
}

/** The numbers of the writes for `purpose` after the store was opened. */
async function writesFor(purpose: string): Promise<DiskOperation[]> {
  const life = new Life(new SimulatedDisk(), settingsFor(purpose));
  await life.open();
  const from = life.disk.operations.length;
  await manyCommits(life, rounds(purpose));
  const operations = life.disk.operations.slice(from);
  if (purpose !== 'a log segment') return operations.filter((one) => purposeOf(one) === purpose);
  const segments = segmentPositions(operations);
  return operations.filter(({ position, bytes }) => segments.has(position) && bytes > pageBytes);
}

async function sound(life: Life): Promise<void> {
  await compareStore(life.store, life.expected.current);
  const cut = restarted(powerCut(life.disk.state, () => false));
  await reopened(cut, life, life.expected.current.batch);
  await life.reopen();
  expect(life.store.recovery).toMatchObject({ clean: true, replayedBatches: 0, healed: [] });
  await compareStore(life.store, life.expected.current);
}

/** At most `count` of the writes, spread over all of them. */
function spread<T>(all: readonly T[], count: number): T[] {
  const step = Math.max(1, Math.floor(all.length / count));
  return all.filter((_, at) => at % step === 0).slice(0, count);
}

describe.each(names)('%s cannot be written', (purpose) => {
  ticking(vi);

  it('once: no caller gets an error', async () => {
    const writes = await writesFor(purpose);
    expect(writes.length).toBeGreaterThan(0);
    for (const { number } of spread(writes, 6 * crashScale)) {
      const disk = new SimulatedDisk({
        seed: number,
        faultOf: (operation) => (operation.number === number ? fault : undefined),
      });
      const life = new Life(disk, settingsFor(purpose));
      await life.open();
      await manyCommits(life, rounds(purpose));
      failures += 1;
      expect(life.rejections).toEqual([]);
      await sound(life);
    }
  });

  it('for a while: the next commit rejects, and later ones are accepted', async () => {
    const writes = await writesFor(purpose);
    for (const { number, position, bytes } of spread(writes, 4 * crashScale)) {
      for (const times of [2, 3, 5]) {
        let left = times;
        const disk = new SimulatedDisk({ seed: number + times });
        const life = new Life(disk, settingsFor(purpose));
        life.tolerant = true;
        disk.faultOf = (operation) => {
          const { kind, bytes: length } = operation;
          const same = operation.position === position && length === bytes && kind === 'write';
          if (operation.number < number || !same || left === 0) return undefined;
          left -= 1;
          return fault;
        };
        await life.open();
        await manyCommits(life, rounds(purpose));
        failures += times - left;
        // What was refused in a new place is written to another.
        const moves = ['a basin', 'a log segment', 'the root'].includes(purpose) && left > 0;
        if (!moves) expect(left).toBe(0);
        expect(life.rejections).toEqual(Array(moves ? 0 : times - 1).fill('VARVE_IO'));
        await sound(life);
      }
    }
  });

  it('until the close: it rejects, and the next opening has everything', async () => {
    const life = new Life(new SimulatedDisk(), settingsFor(purpose));
    life.tolerant = true;
    await life.open();
    await manyCommits(life, 9);
    life.disk.faultOf = (operation) => (purposeOf(operation) === purpose ? fault : undefined);
    const before = life.rejections.length;
    await life.close();
    const settles = purpose !== 'a log segment';
    expect(life.rejections.slice(before)).toEqual(settles ? ['VARVE_IO'] : []);
    life.disk.faultOf = undefined;
    await life.open();
    await sound(life);
  });
});

afterAll(() => {
  console.log(`failed writes of housekeeping: ${failures}`);
});
