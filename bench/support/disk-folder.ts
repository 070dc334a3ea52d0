/**
 * Folders of this machine for the demo, the benches and the scale runs: a new one on a disk,
 * removed afterwards.
 *
 * It lies in the system's folder for temporary files, unless that is in memory: nothing is durable
 * there and a sync costs nothing. Then it lies in the project's `.demo/`. Where that is in memory
 * too, what measures refuses to run (`onDisk` false).
 */

import { mkdirSync, mkdtempSync, realpathSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project: this file runs from `build/bench/support/`. */
export const projectFolder: string = fileURLToPath(new URL('../../..', import.meta.url));

/** Linux's numbers of tmpfs and ramfs. */
const inMemory = new Set([0x01021994, 0x858458f6]);

/** Whether a file system of this type, as `statfs` names it, has its files in memory. */
export function livesInMemory(type: number): boolean {
  // Node gives the second of them as a negative number on some platforms.
  return inMemory.has(type >>> 0);
}

export interface DiskFolder {
  readonly path: string;
  /** False where its files live in memory. */
  readonly onDisk: boolean;
}

function isOnDisk(folder: string): boolean {
  return process.platform !== 'linux' || !livesInMemory(statfsSync(folder).type);
}

/** Makes a new, empty folder. */
export function makeDiskFolder(prefix: string): DiskFolder {
  const parent = isOnDisk(tmpdir()) ? tmpdir() : join(projectFolder, '.demo');
  mkdirSync(parent, { recursive: true });
  const path = realpathSync(mkdtempSync(join(parent, prefix)));
  return { path, onDisk: isOnDisk(path) };
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/**
 * Removes the folder when the process is stopped from outside; `before` is called first. Gives
 * what takes that back.
 */
export function removeAtSignals(path: string, before: () => void = () => undefined): () => void {
  const stop = (signal: NodeJS.Signals): void => {
    before();
    removeFolder(path);
    process.kill(process.pid, signal);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return () => void process.off('SIGINT', stop).off('SIGTERM', stop);
}

/** Throws where what is measured would cost nothing, because it never reaches a disk. */
export function refuseMemory({ path, onDisk }: DiskFolder): void {
  if (onDisk) return;
  throw new Error(`${path} is in memory: set TMPDIR to a folder on a disk to measure`);
}

/** Runs `work` in a new folder on a disk, and removes it. Throws where there is no disk. */
export async function withDiskFolder(
  prefix: string,
  work: (folder: string) => void | Promise<void>,
): Promise<void> {
  const made = makeDiskFolder(prefix);
  const { path } = made;
  const leaveSignals = removeAtSignals(path);
  try {
    refuseMemory(made);
    await work(path);
  } finally {
    removeFolder(path);
    leaveSignals();
  }
}
