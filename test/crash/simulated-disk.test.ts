/**
 * The simulated disk is a file system like any other, and loses at a power cut what it should.
 *
 * The tests of the commit protocol are worth what this disk is worth: so its own rules are shown
 * here one by one, on files of a few sectors.
 */

import { describe, expect, it } from 'vitest';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../src/index.ts';
import { DiskImage } from '../support/disk-image.ts';
import { powerCut, restarted, unitCount } from '../support/disk-state.ts';
import { fileSystemSuite, writing } from '../support/file-system-suite.ts';
import { type DiskSettings, ProcessEnded, SimulatedDisk } from '../support/simulated-disk.ts';

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
  it('keeps what a completed sync covers, and any sectors of what none does', async () => {
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

  it('may lose the length of a file that grew and keep what is within', async () => {
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

  it('leaves the same for the same seed', async () => {
    const one = await failedSync('dropped', 7);
    const other = await failedSync('dropped', 7);
    expect(fillsOf(one.file)).toEqual(fillsOf(other.file));
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
