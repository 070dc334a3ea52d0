/**
 * A power cut at any write of a backup's target: the final name leads to nothing, or to a complete
 * copy, whatever the disk kept. The next backup takes over what was left under the other name.
 */

import { describe, expect, it } from 'vitest';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../../src/index.ts';
import { systemError } from '../../../src/io/system-error.ts';
import { type DiskState, powerCut, restarted } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { cutEverywhere } from '../../support/lives/cuts.ts';
import { BackupGround, copyPath, partialPath } from './backup-ground.ts';

/** A folder whose files each lie on a simulated disk. A rename is atomic and durable. */
class SimulatedFolder implements FileSystem {
  readonly disks = new Map<string, SimulatedDisk>();
  /** Called before each rename. */
  onRename: (() => void) | undefined;

  async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
    const disk = this.disks.get(path) ?? new SimulatedDisk();
    const file = await disk.open(path, options);
    this.disks.set(path, disk);
    return file;
  }

  async rename(from: string, to: string, options: { overwrite: boolean }): Promise<void> {
    this.onRename?.();
    const disk = this.disks.get(from);
    if (disk === undefined) throw systemError('ENOENT', 'rename', from);
    if (this.disks.has(to) && !options.overwrite) throw systemError('EEXIST', 'rename', to);
    this.disks.delete(from);
    this.disks.set(to, disk);
  }

  async remove(path: string): Promise<void> {
    if (!this.disks.delete(path)) throw systemError('ENOENT', 'unlink', path);
  }
}

async function grown(): Promise<{ ground: BackupGround; folder: SimulatedFolder }> {
  const folder = new SimulatedFolder();
  const lengths = [10, 90, 700, 5000, 150_000];
  const ground = new BackupGround({ lengths, seed: 3, fileSystem: folder });
  await ground.open();
  for (let at = 0; at < 10; at++) ground.commit();
  return { ground, folder };
}

describe('a power cut during a backup', () => {
  it('after the rename leaves a complete copy, even if the disk kept nothing unsynced', async () => {
    const { ground, folder } = await grown();
    let atRename: DiskState | undefined;
    folder.onRename = () => {
      expect(folder.disks.has(copyPath)).toBe(false);
      atRename = folder.disks.get(partialPath)?.state;
    };
    const { batch, values } = await ground.store.backupTo(copyPath, { fileSystem: ground.disk });
    await ground.store.close();
    const kept = restarted(powerCut(atRename as DiskState, () => false));
    folder.disks.set(copyPath, new SimulatedDisk({ state: kept }));
    await ground.expectCopy(batch, values);
  });

  it('at any write, with any fate, leaves a file that the next backup replaces', async () => {
    const { ground, folder } = await grown();
    const disk = new SimulatedDisk();
    folder.disks.set(partialPath, disk);
    await ground.store.backupTo(copyPath, { fileSystem: ground.disk });
    expect(folder.disks.get(copyPath)).toBe(disk);
    const bounds = { singles: 1, randoms: 1 };
    const settings = { bounds, stride: 1, name: 'a backup' };
    let took = 0;
    const tried = await cutEverywhere({ disk }, settings, async (state) => {
      folder.disks.delete(copyPath);
      folder.disks.set(partialPath, new SimulatedDisk({ state, records: false }));
      const { batch, values } = await ground.store.backupTo(copyPath, { fileSystem: ground.disk });
      expect(folder.disks.has(partialPath)).toBe(false);
      if (took++ % 8 === 0) await ground.expectCopy(batch, values);
    });
    expect(tried).toBeGreaterThan(10);
    await ground.store.close();
  });
});
