/**
 * The writer's lock on a file: exclusive, refused within this process as well as to others, and
 * gone with the process that holds it however that ends.
 *
 * Invariant: two holders of one file never exist at once, among processes that use the same kind
 * of lock. The kernel keeps it: a byte-range lock by `fs-native-extensions` where that loads, else
 * the one of `node-fallback-lock.ts`. The two kinds do not see each other (except on macOS, where
 * both are flock): install the addon for every program that shares a store, or for none. Readers
 * take no lock, and nothing stops a program that asks for none.
 */

import fs from 'node:fs';
import { VarveError } from '../errors.ts';
import type { FileLock, LockTarget } from './node-fallback-lock.ts';
import { loadNativeExtensions, type NativeExtensions } from './node-native-extensions.ts';

/**
 * The byte that is locked lies far past any data: on Windows a lock also keeps others from reading
 * what it covers. macOS locks whole files only, which is asked for with zeros.
 */
const lockRange =
  process.platform === 'darwin' ? { offset: 0, length: 0 } : { offset: 2 ** 52, length: 1 };

/**
 * Files that this process writes. Where the kernel's lock belongs to the process rather than to
 * the open file, only this refuses the second writer within it.
 */
const heldHere = new Set<string>();

/** Rejects with `VARVE_LOCKED` where another writer has the file. */
export async function acquireLock(target: LockTarget): Promise<FileLock> {
  const addon = await loadNativeExtensions();
  return addon === undefined ? acquireFallbackLock(target) : acquireNativeLock(target, addon);
}

/** The lock used where the addon does not load. What it needs of Node is loaded only then. */
export async function acquireFallbackLock(target: LockTarget): Promise<FileLock> {
  const { acquirePlatformLock } = await import('./node-fallback-lock.ts');
  return claim(target, (identity) => acquirePlatformLock(target, identity));
}

function acquireNativeLock(target: LockTarget, addon: NativeExtensions): Promise<FileLock> {
  const { fd } = target;
  const { offset, length } = lockRange;
  return claim(target, async () => {
    if (!addon.tryLock(fd, offset, length)) return undefined;
    // Closing the descriptor would do, were it not for a child process between fork and exec, which
    // shares the open file for that moment.
    return { release: async () => addon.unlock(fd, offset, length) };
  });
}

/** Takes the file for this process, then for this machine. `acquire` gives undefined if taken. */
async function claim(
  target: LockTarget,
  acquire: (identity: string) => Promise<FileLock | undefined>,
): Promise<FileLock> {
  const identity = identityOf(target);
  if (heldHere.has(identity)) throw locked(target.path, 'this process');
  heldHere.add(identity);
  let lock: FileLock | undefined;
  try {
    lock = await acquire(identity);
    if (lock === undefined) throw locked(target.path, 'another process');
  } finally {
    if (lock === undefined) heldHere.delete(identity);
  }
  return { release: () => letGo(identity, lock) };
}

async function letGo(identity: string, lock: FileLock): Promise<void> {
  try {
    await lock.release();
  } finally {
    heldHere.delete(identity);
  }
}

/**
 * Names the file itself, whichever path led to it. Its inode cannot pass to another file while it
 * is open. Some network drives on Windows number no files; there the path has to do.
 */
function identityOf({ fd, path }: LockTarget): string {
  const { dev, ino } = fs.fstatSync(fd, { bigint: true });
  return ino === 0n ? fs.realpathSync(path) : `${dev.toString(16)}-${ino.toString(16)}`;
}

function locked(path: string, holder: string): VarveError {
  const message = `${JSON.stringify(path)} is open for writing by ${holder}`;
  return new VarveError('VARVE_LOCKED', message, { path });
}
