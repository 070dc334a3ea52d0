/**
 * Names of files of this machine: rename, remove, and whether two paths lead to the same file.
 *
 * Invariant: a rename is atomic, and durable when it resolves. A file that has the new name is
 * never replaced without `overwrite`, even if it appears during the call. It opens no files for a
 * store.
 */

import { systemCode } from '../errors.ts';
import { statIfThere, syncFolders } from './node-file-system.ts';
import { nodeModule } from './node-modules.ts';
import { systemError } from './system-error.ts';

const fs = nodeModule('fs');

/** Codes of file systems without hard links. */
const withoutLinks = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** `FileSystem.rename` for files of this machine. */
export async function renameNodeFile(
  from: string,
  to: string,
  { overwrite }: { readonly overwrite: boolean },
): Promise<void> {
  if (overwrite) await fs.promises.rename(from, to);
  else await renameUnlessThere(from, to);
  await syncFolders(to);
}

/**
 * A second name refuses one that exists, which `rename` does not. A power cut may leave both names.
 */
async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await fs.promises.link(from, to);
  } catch (error) {
    if (!withoutLinks.includes(systemCode(error) ?? '')) throw error;
    if (statIfThere(to) !== undefined) throw systemError('EEXIST', 'rename', to);
    await fs.promises.rename(from, to);
    return;
  }
  try {
    await fs.promises.unlink(from);
  } catch (error) {
    // Another program has taken the second name for one that a power cut left.
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

/** `FileSystem.remove` for files of this machine. */
export async function removeNodeFile(path: string): Promise<void> {
  await fs.promises.unlink(path);
}

/** `FileSystem.isSame` for files of this machine. */
export async function isSameNodeFile(path: string, other: string): Promise<boolean> {
  const [one, two] = [statIfThere(path), statIfThere(other)];
  if (one === undefined || two === undefined || one.dev !== two.dev) return false;
  // Some network drives on Windows have no inode numbers.
  if (one.ino !== 0n) return one.ino === two.ino;
  const [real, otherReal] = [fs.realpathSync(path), fs.realpathSync(other)];
  return real === otherReal;
}
