/**
 * Benches refuse to measure where nothing reaches a disk.
 *
 * The decision is tested, not this machine: a folder in memory and a project in memory cannot both
 * be arranged everywhere.
 */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  livesInMemory,
  makeDiskFolder,
  refuseMemory,
  removeFolder,
} from '../../bench/support/disk-folder.ts';

describe('the folder that a bench measures in', () => {
  it('is in memory on tmpfs and ramfs, whatever the sign of the number', () => {
    expect([0x01021994, 0x858458f6, 0x858458f6 | 0].map(livesInMemory)).toEqual([true, true, true]);
  });

  it('is not in memory on ext4, xfs and btrfs', () => {
    expect([0xef53, 0x58465342, 0x9123683e].map(livesInMemory)).toEqual([false, false, false]);
  });

  it('is refused in memory, with advice', () => {
    const refused = (): void => refuseMemory({ path: '/dev/shm/bench', onDisk: false });
    expect(refused).toThrow('/dev/shm/bench is in memory: set TMPDIR to a folder on a disk');
  });

  it('is taken on a disk', () => {
    expect(() => refuseMemory({ path: '/var/tmp/bench', onDisk: true })).not.toThrow();
  });

  it('is new and empty, and gone when it is removed', () => {
    const { path } = makeDiskFolder('varve-bench-test-');
    expect(existsSync(path)).toBe(true);
    removeFolder(path);
    expect(existsSync(path)).toBe(false);
  });
});
