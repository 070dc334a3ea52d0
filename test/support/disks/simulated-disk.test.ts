/**
 * The simulated disk is a file system like any other, and loses at a power cut what it should. The
 * tests of the commit protocol rely on it: its rules are shown one by one, on files of a few
 * sectors.
 */

import { describe, expect, it } from 'vitest';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../../src/index.ts';
import { fileSystemSuite, writing } from '../file-system-suite.ts';
import { DiskImage } from './disk-image.ts';
import { powerCut, restarted, unitCount } from './disk-state.ts';
import {
  type DiskRead,
  type DiskSettings,
  type Fault,
  ProcessEnded,
  SimulatedDisk,
} from './simulated-disk.ts';

fileSystemSuite('the simulated disk', async () => {
  const disks = new Map<string, SimulatedDisk>();
  const fileSystem: FileSystem = {
    async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
      const disk = disks.get(path) ?? new SimulatedDisk();
      disks.set(path, disk);
      return await disk.open(path, options);
    },
  };
  return { fileSystem, path: (name) => name, cleanup: async () => undefined };
});

const sector = 512;

async function opened(settings: DiskSettings = {}) {
  const disk = new SimulatedDisk(settings);
  return { disk, file: await disk.open('file', writing) };
}

function sectors(...fills: number[]): Uint8Array {
  const bytes = new Uint8Array(fills.length * sector);
  for (const [at, fill] of fills.entries()) bytes.fill(fill, at * sector, (at + 1) * sector);
  return bytes;
}

/** The first byte of each sector. */
function fillsOf(file: DiskImage | StorageFile): number[] {
  const image = file instanceof DiskImage ? file : undefined;
  const length = image?.length ?? (file as StorageFile).length();
  const bytes = new Uint8Array(length);
  const read = image?.read(bytes, 0) ?? (file as StorageFile).readSync(bytes, 0);
  expect(read).toBe(length);
  const fills: number[] = [];
  for (let at = 0; at < length; at += sector) fills.push(bytes[at] as number);
  return fills;
}

describe('a power cut', () => {
  it('keeps sectors that a completed sync covers, and any of the others', async () => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1, 1, 1, 1)], 0);
    file.datasyncSync();
    file.writeSync([sectors(2, 2)], 0);
    file.writeSync([sectors(3, 3)], 2 * sector);
    expect(unitCount(disk.state.unsynced)).toBe(4);
    expect(fillsOf(powerCut(disk.state, () => false))).toEqual([1, 1, 1, 1]);
    expect(fillsOf(powerCut(disk.state, (unit) => unit % 2 === 1))).toEqual([1, 2, 1, 3]);
    expect(fillsOf(powerCut(disk.state, () => true))).toEqual([2, 2, 3, 3]);
  });

  it('may keep an older write of a sector and lose the newer', async () => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1)], 0);
    file.datasyncSync();
    file.writeSync([sectors(2)], 0);
    file.writeSync([sectors(3)], 0);
    expect(fillsOf(powerCut(disk.state, (unit) => unit === 0))).toEqual([2]);
    expect(fillsOf(powerCut(disk.state, (unit) => unit === 1))).toEqual([3]);
  });

  it('may lose the new length of a file that grew, and keep the sectors within the old length', async () => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1, 1)], 0);
    file.datasyncSync();
    file.writeSync([sectors(2, 2)], sector);
    expect(fillsOf(powerCut(disk.state, (unit) => unit < 2))).toEqual([1, 2]);
    expect(fillsOf(powerCut(disk.state, (unit) => unit === 2))).toEqual([1, 1, 0]);
    file.truncateSync(sector);
    expect(fillsOf(powerCut(disk.state, () => true))).toEqual([1]);
    expect(fillsOf(powerCut(disk.state, (unit) => unit < 3))).toEqual([1, 2, 2]);
  });

  it('takes a write that is under way during a sync as not covered by it', async () => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1)], 0);
    const sync = file.datasync();
    file.writeSync([sectors(2)], sector);
    await sync;
    expect(fillsOf(powerCut(disk.state, () => false))).toEqual([1]);
  });

  it('can be put between any two operations of one run', async () => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1)], 0);
    file.datasyncSync();
    file.writeSync([sectors(2)], 0);
    await file.datasync();
    const cuts = disk.before.map((state) => fillsOf(powerCut(state, () => true)));
    expect(cuts).toEqual([[], [1], [1], [2]]);
    expect(disk.before.map((state) => unitCount(state.unsynced))).toEqual([0, 2, 0, 1]);
  });
});

describe('a fault', () => {
  it('can end the process at an operation, and everything after it', async () => {
    const faultOf = ({ number }: { number: number }) =>
      number === 1 ? ({ kind: 'end' } as const) : undefined;
    const { disk, file } = await opened({ faultOf });
    file.writeSync([sectors(1)], 0);
    expect(() => file.writeSync([sectors(2)], 0)).toThrow(ProcessEnded);
    expect(() => file.datasyncSync()).toThrow(ProcessEnded);
    await expect(file.read(new Uint8Array(1), 0)).rejects.toThrow(ProcessEnded);
    expect(fillsOf(powerCut(disk.state, () => true))).toEqual([1]);
  });

  it('can make one write fail with part of it done', async () => {
    const done = new Set<number>();
    for (let seed = 1; seed <= 30; seed++) {
      const faultOf = ({ number }: { number: number }) =>
        number === 0 ? ({ kind: 'error', code: 'ENOSPC' } as const) : undefined;
      const { file } = await opened({ faultOf, seed });
      const refusal = expect.objectContaining({ code: 'ENOSPC' });
      expect(() => file.writeSync([sectors(1, 1)], 0)).toThrow(refusal);
      done.add(file.length() / sector);
      file.writeSync([sectors(2, 2)], 0);
      expect(fillsOf(file)).toEqual([2, 2]);
    }
    expect([...done].sort()).toEqual([0, 1, 2]);
  });

  async function failedSync(cache: 'dropped' | 'kept', seed: number) {
    const faultOf = ({ number }: { number: number }) =>
      number === 3 ? ({ kind: 'sync', cache } as const) : undefined;
    const { disk, file } = await opened({ faultOf, seed });
    file.writeSync([sectors(1, 1)], 0);
    file.datasyncSync();
    file.writeSync([sectors(2, 2)], 0);
    await expect(file.datasync()).rejects.toMatchObject({ code: 'EIO' });
    expect(disk.state.unsynced).toEqual([]);
    return { disk, file };
  }

  it('of a datasync can drop the unsynced sectors from the page cache', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const { disk, file } = await failedSync('dropped', seed);
      seen.add(String(fillsOf(file)));
      expect(fillsOf(powerCut(disk.state, () => true))).toEqual(fillsOf(file));
    }
    expect(seen).toContain('1,1');
    expect(seen).toContain('2,2');
  });

  it('of a datasync can leave them there, marked clean: no later sync writes them', async () => {
    const lost = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const { disk, file } = await failedSync('kept', seed);
      expect(fillsOf(file)).toEqual([2, 2]);
      await file.datasync();
      lost.add(String(fillsOf(powerCut(disk.state, () => true))));
      const next = new SimulatedDisk({ state: disk.state });
      const again = await next.open('file', writing);
      expect(fillsOf(again)).toEqual([2, 2]);
      again.writeSync([sectors(2)], sector);
      again.datasyncSync();
      expect(fillsOf(powerCut(next.state, () => false))[1]).toBe(2);
    }
    expect(lost).toContain('1,1');
  });

  it('of a datasync of a truncation keeps what is written beyond that length later', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { disk, file } = await faulty(3, { kind: 'sync', cache: 'kept' }, { seed });
      file.writeSync([sectors(1, 1, 1)], 0);
      file.datasyncSync();
      file.truncateSync(sector);
      await expect(file.datasync()).rejects.toMatchObject({ code: 'EIO' });
      file.writeSync([sectors(2)], 2 * sector);
      file.datasyncSync();
      const next = await new SimulatedDisk({ state: disk.state }).open('file', writing);
      expect(fillsOf(next)[2]).toBe(2);
    }
  });

  it('leaves the same for the same seed', async () => {
    const [one, other] = [await failedSync('dropped', 7), await failedSync('dropped', 7)];
    expect(fillsOf(one.file)).toEqual(fillsOf(other.file));
  });
});

/** A disk on which one operation has that fault. */
function faulty(number: number, fault: Fault, settings: DiskSettings = {}) {
  return opened({
    ...settings,
    faultOf: (operation) => (operation.number === number ? fault : undefined),
  });
}

describe('an operation that fails', () => {
  const codes = ['EIO', 'ENOSPC', 'EDQUOT'] as const;

  it.each(codes)('reports %s, and has taken effect or not, as the fault says', async (code) => {
    for (const done of ['all', 'nothing'] as const) {
      const wrote = await faulty(1, { kind: 'error', code, done });
      wrote.file.writeSync([sectors(1, 1)], 0);
      const refusal = expect.objectContaining({ code, syscall: 'write' });
      expect(() => wrote.file.writeSync([sectors(2, 2)], 0)).toThrow(refusal);
      expect(fillsOf(wrote.file)).toEqual(done === 'all' ? [2, 2] : [1, 1]);
      const cut = await faulty(1, { kind: 'error', code, done });
      cut.file.writeSync([sectors(1, 1)], 0);
      await expect(cut.file.truncate(sector)).rejects.toMatchObject({ code });
      expect(fillsOf(cut.file)).toEqual(done === 'all' ? [1] : [1, 1]);
      expect(fillsOf(powerCut(cut.disk.state, () => true))).toEqual(fillsOf(cut.file));
    }
  });

  it('can be a datasync that has no space to write to', async () => {
    const { file } = await faulty(1, { kind: 'sync', cache: 'kept', code: 'ENOSPC' });
    file.writeSync([sectors(1)], 0);
    expect(() => file.datasyncSync()).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
  });

  it('can be opening, which may have made the file, and takes no lock', async () => {
    const made = new Set<boolean>();
    for (let seed = 1; seed <= 20; seed++) {
      const disk = new SimulatedDisk({ seed });
      disk.handleFaultOf = ({ kind }) => ({
        kind: 'error',
        code: kind === 'open' ? 'EDQUOT' : 'EIO',
      });
      await expect(disk.open('file', writing)).rejects.toMatchObject({ code: 'EDQUOT' });
      disk.handleFaultOf = undefined;
      const again = await disk.open('file', { ...writing, create: false }).catch(() => undefined);
      made.add(again !== undefined);
      if (again === undefined) await disk.open('file', writing);
      expect(disk).toMatchObject({ operations: [] });
    }
    expect(made.size).toBe(2);
  });

  it('can be closing, which still closes and unlocks', async () => {
    const { disk, file } = await opened({
      handleFaultOf: ({ number }) => (number === 1 ? { kind: 'error', code: 'EIO' } : undefined),
    });
    await expect(file.close()).rejects.toMatchObject({ code: 'EIO', syscall: 'close' });
    expect(() => file.length()).toThrow(expect.objectContaining({ code: 'EBADF' }));
    await file.close();
    expect((await disk.open('file', writing)).length()).toBe(0);
  });
});

describe('a read', () => {
  const read = async (fault: NonNullable<DiskSettings['readFaultOf']>, position = 0) => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1, 2)], 0);
    disk.readFaultOf = fault;
    const target = new Uint8Array(4 * sector).fill(99);
    return { disk, file, target, count: await file.read(target, position) };
  };

  it('can fail, and can the next time succeed', async () => {
    const { disk, file } = await opened();
    file.writeSync([sectors(1, 2)], 0);
    disk.readFaultOf = ({ number }) => (number < 3 ? { kind: 'error', code: 'EIO' } : undefined);
    const refusal = { code: 'EIO' };
    expect(() => file.length()).toThrow(expect.objectContaining(refusal));
    expect(() => file.readSync(sectors(0), 0)).toThrow(expect.objectContaining(refusal));
    await expect(file.read(sectors(0), 0)).rejects.toMatchObject(refusal);
    expect(fillsOf(file)).toEqual([1, 2]);
  });

  it('can come back short, as if the file ended there, and leave the rest alone', async () => {
    const counts = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      const { disk, file } = await opened({ seed, readFaultOf: () => ({ kind: 'short' }) });
      file.writeSync([sectors(7)], 0);
      const target = new Uint8Array(2 * sector).fill(99);
      const count = file.readSync(target, 0);
      expect([...target].lastIndexOf(7)).toBe(count - 1);
      expect(target.indexOf(99)).toBe(count);
      counts.add(count);
      expect(disk.reads).toBe(1);
    }
    expect(Math.max(...counts)).toBeLessThan(sector);
    expect(counts.size).toBeGreaterThan(20);
    expect((await read(() => ({ kind: 'short', bytes: 5 }))).count).toBe(5);
    expect((await read(() => ({ kind: 'short', bytes: 9 * sector }))).count).toBe(2 * sector - 1);
    expect((await read(() => ({ kind: 'short' }), 2 * sector)).count).toBe(0);
  });

  it('is numbered separately from operations that change the disk', async () => {
    const told: DiskRead[] = [];
    const { disk, file } = await read((call) => {
      told.push(call);
      return undefined;
    });
    file.length();
    file.writeSync([sectors(3)], 0);
    expect(told).toEqual([
      { number: 0, kind: 'read', position: 0, bytes: 4 * sector },
      { number: 1, kind: 'length', position: 0, bytes: 0 },
    ]);
    expect(disk.operations.map(({ number }) => number)).toEqual([0, 1]);
  });
});

describe('a write that reports success', () => {
  const written = async (fault: Fault, settings: DiskSettings = {}) => {
    const { disk, file } = await faulty(2, fault, settings);
    file.writeSync([sectors(1, 2, 3, 4)], 0);
    file.datasyncSync();
    file.writeSync([sectors(8)], sector);
    return { disk, file, cut: () => fillsOf(powerCut(disk.state, () => true)) };
  };

  it('can be lost: reads give the new bytes until the power goes', async () => {
    const { disk, file, cut } = await written({ kind: 'lost' });
    for (const synced of [false, true]) {
      if (synced) file.datasyncSync();
      expect(fillsOf(file)).toEqual([1, 8, 3, 4]);
      expect(cut()).toEqual([1, 2, 3, 4]);
      const next = await opened({ state: disk.state });
      expect(fillsOf(next.file)).toEqual([1, 8, 3, 4]);
    }
    file.writeSync([sectors(9)], sector);
    file.datasyncSync();
    expect(cut()).toEqual([1, 9, 3, 4]);
  });

  it('can be lost if nothing caches it', async () => {
    const { file, cut } = await written({ kind: 'lost', cache: 'dropped' });
    expect(fillsOf(file)).toEqual([1, 2, 3, 4]);
    expect(cut()).toEqual([1, 2, 3, 4]);
  });

  it('can be lost past the end; the file is still longer', async () => {
    const { disk, file } = await faulty(0, { kind: 'lost' });
    file.writeSync([sectors(1, 1)], 0);
    file.datasyncSync();
    expect(fillsOf(powerCut(disk.state, () => false))).toEqual([0, 0]);
    expect(fillsOf(file)).toEqual([1, 1]);
  });

  it('can land in another place, sector by sector like any write', async () => {
    const { disk, file, cut } = await written({ kind: 'misdirected', to: 3 * sector });
    expect(fillsOf(file)).toEqual([1, 8, 3, 4]);
    expect(cut()).toEqual([1, 2, 3, 8]);
    expect(fillsOf(powerCut(disk.state, () => false))).toEqual([1, 2, 3, 4]);
    file.datasyncSync();
    expect(fillsOf(powerCut(disk.state, () => false))).toEqual([1, 2, 3, 8]);
    expect(fillsOf(file)).toEqual([1, 8, 3, 4]);
  });

  it('can land in another place that is seen at once', async () => {
    const fault = { kind: 'misdirected', to: 0, cache: 'dropped' } as const;
    const { file, cut } = await written(fault);
    expect(fillsOf(file)).toEqual([8, 2, 3, 4]);
    expect(cut()).toEqual([8, 2, 3, 4]);
  });

  it('lands in any sectors but its own, and nowhere if there are no others', async () => {
    const places = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      places.add((await written({ kind: 'misdirected' }, { seed })).cut().indexOf(8));
    }
    expect([...places].sort()).toEqual([0, 2, 3]);
    const { disk, file } = await faulty(1, { kind: 'misdirected' });
    file.writeSync([sectors(1, 1, 1)], 0);
    file.writeSync([sectors(2, 2)], 0);
    expect(fillsOf(powerCut(disk.state, () => true))).toEqual([1, 1, 1]);
  });

  it('is a write: no other operation can be misplaced', async () => {
    const { file } = await faulty(0, { kind: 'lost' });
    expect(() => file.datasyncSync()).toThrow('a datasync cannot be misplaced');
  });
});

it('two datasyncs at once are refused', async () => {
  const { file } = await opened();
  const first = file.datasync();
  await expect(file.datasync()).rejects.toThrow('while another was under way');
  await first;
});

it('a disk over a restarted image reads as the image', async () => {
  const { disk, file } = await opened();
  file.writeSync([sectors(1, 2, 3)], 0);
  const next = await opened({ state: restarted(powerCut(disk.state, (unit) => unit !== 1)) });
  expect(fillsOf(next.file)).toEqual([1, 0, 3]);
});
