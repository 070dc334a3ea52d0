/**
 * The writer's lock on a file: exclusive, refused within this process as well as to others, and
 * gone with the process that holds it however that ends.
 *
 * Rule: two kinds of lock do not see each other, so every writer on a platform takes every kind
 * that any writer there might take, or none and is refused. On Linux and Windows that is the lock
 * that the platform gives without native code (`node-platform-lock.ts`) and, if
 * `fs-native-extensions` loads, a byte-range lock of the open file before it, which also reaches
 * the writers of other network namespaces that have the addon. On macOS and the BSDs both are
 * flock: one kind, which would refuse itself if it were taken twice. Readers take no lock, and
 * nothing stops a program that asks for none.
 */

import fs from 'node:fs';
import { VarveError } from '../errors.ts';
import type { NativeExtensions } from './node-native-extensions.ts';
import {
  acquirePlatformLock,
  type FileLock,
  type LockTarget,
  platformHolder,
} from './node-platform-lock.ts';

/** Takes one kind of lock; undefined if another writer has it. */
type Acquire = () => Promise<FileLock | undefined>;

/**
 * Files that this process writes, for all copies of the library in this thread. Not needed to keep
 * a second writer out, except where a kernel's lock belongs to the process rather than to the open
 * file; it names this process in the error.
 */
const heldHere = sharedSet(Symbol.for('varve.filesOpenForWriting'));

function sharedSet(key: symbol): Set<string> {
  const shared = globalThis as unknown as Record<symbol, Set<string> | undefined>;
  const set = shared[key] ?? new Set();
  shared[key] = set;
  return set;
}

/**
 * Takes every kind of lock on the file, in an order that all writers share; releasing goes the
 * other way. A step that fails leaves no lock behind. `addon` is undefined if it does not load.
 *
 * Rejects with `VARVE_LOCKED` if another writer has the file, and with the system's error if a kind
 * cannot be had: a writer with half of the locks would not be safe.
 */
export async function acquireLock(
  target: LockTarget,
  addon: NativeExtensions | undefined,
): Promise<FileLock> {
  const identity = identityOf(target);
  if (heldHere.has(identity)) throw locked(target.path, 'this process');
  heldHere.add(identity);
  try {
    const locks = await acquireAll(kindsOf(target, identity, addon));
    if (locks === undefined) throw locked(target.path, await platformHolder(identity));
    return { release: () => letGo(identity, locks) };
  } catch (error) {
    heldHere.delete(identity);
    throw error;
  }
}

function kindsOf(
  target: LockTarget,
  identity: string,
  addon: NativeExtensions | undefined,
): readonly Acquire[] {
  const platform: Acquire = () => acquirePlatformLock(target, identity);
  if (addon === undefined) return [platform];
  const native: Acquire = async () => acquireNativeLock(target, addon);
  const hasOneKind = !['linux', 'android', 'win32'].includes(process.platform);
  return hasOneKind ? [native] : [native, platform];
}

/** All of them; undefined, and none, if one is taken. */
async function acquireAll(kinds: readonly Acquire[]): Promise<readonly FileLock[] | undefined> {
  const locks: FileLock[] = [];
  try {
    for (const acquire of kinds) {
      const lock = await acquire();
      if (lock === undefined) break;
      locks.push(lock);
    }
  } catch (error) {
    // The first failure is the one to report.
    await releaseAll(locks).catch(() => undefined);
    throw error;
  }
  if (locks.length === kinds.length) return locks;
  await releaseAll(locks);
  return undefined;
}

/** The last one taken goes first. One that fails keeps no other. */
async function releaseAll(locks: readonly FileLock[]): Promise<void> {
  const failures: unknown[] = [];
  for (const lock of locks.toReversed()) {
    await lock.release().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

async function letGo(identity: string, locks: readonly FileLock[]): Promise<void> {
  try {
    await releaseAll(locks);
  } finally {
    heldHere.delete(identity);
  }
}

function acquireNativeLock({ fd }: LockTarget, addon: NativeExtensions): FileLock | undefined {
  const { offset, length } = lockRange();
  if (!addon.tryLock(fd, offset, length)) return undefined;
  // Closing the descriptor would do, were it not for a child process between fork and exec, which
  // shares the open file for that moment.
  return { release: async () => addon.unlock(fd, offset, length) };
}

/**
 * The byte that is locked lies far past any data: on Windows a lock also keeps others from reading
 * what it covers. macOS locks whole files only, which is asked for with zeros.
 */
function lockRange(): { offset: number; length: number } {
  return process.platform === 'darwin' ? { offset: 0, length: 0 } : { offset: 2 ** 52, length: 1 };
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
  const message =
    `${JSON.stringify(path)} is open for writing by ${holder}: ` +
    'close it there first, or open it with readOnly';
  return new VarveError('VARVE_LOCKED', message, { path });
}
