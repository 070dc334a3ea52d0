/**
 * The writer's lock on a file: exclusive, also within this process, and released when its process
 * ends for any reason.
 *
 * Rule: two kinds of lock do not see each other. Therefore every writer on a platform takes every
 * kind that any writer there might take, or is refused. On Linux and Windows there are two kinds.
 * The first is a byte-range lock of the open file, if `fs-native-extensions` loads: it also
 * excludes writers of other network namespaces that have the addon. The second is the platform's
 * lock without native code (`node-platform-lock.ts`). On macOS and the BSDs both are flock: taken
 * twice it would refuse itself. Readers take no lock, and a program that takes none is not stopped.
 */

import { VarveError } from '../errors.ts';
import { nodeModule } from './node-modules.ts';
import type { NativeExtensions } from './node-native-extensions.ts';
import {
  acquirePlatformLock,
  type FileLock,
  type LockHolder,
  type LockTarget,
  platformHolder,
  thisProcess,
} from './node-platform-lock.ts';

const fs = nodeModule('fs');

/** Takes one kind of lock; undefined if another writer has it. */
type Acquire = () => Promise<FileLock | undefined>;

/**
 * Files that this process writes, for all copies of the library in this thread. The kernel's lock
 * excludes other writers already, unless it belongs to the process and not to the open file. This
 * set also lets the error name this process.
 */
const heldHere = sharedSet(Symbol.for('varve.filesOpenForWriting'));
/** Files whose lock this thread is asking for: whether it gets the lock is not known yet. */
const askedHere = sharedSet(Symbol.for('varve.filesOpening'));

function sharedSet(key: symbol): Set<string> {
  const shared = globalThis as unknown as Record<symbol, Set<string> | undefined>;
  const set = shared[key] ?? new Set();
  shared[key] = set;
  return set;
}

/**
 * Takes every kind of lock on the file, in an order that all writers share, and releases them in
 * reverse. A failed step leaves no lock behind. `addon` is undefined if it does not load.
 *
 * Rejects with `VARVE_LOCKED` if another writer has the file, and with the system's error if a kind
 * is not available: a writer with only some of the locks would not be safe.
 */
export async function acquireLock(
  target: LockTarget,
  addon: NativeExtensions | undefined,
): Promise<FileLock> {
  const identity = identityOf(target);
  if (heldHere.has(identity)) throw locked(target.path, thisProcess());
  if (askedHere.has(identity)) {
    const description = 'this process, which is just opening it,';
    throw locked(target.path, { ...thisProcess(), description });
  }
  askedHere.add(identity);
  try {
    const locks = await acquireAll(kindsOf(target, identity, addon));
    if (locks === undefined) throw locked(target.path, await platformHolder(identity));
    heldHere.add(identity);
    return { release: () => letGo(identity, locks) };
  } finally {
    askedHere.delete(identity);
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

/** Takes all locks, or none and returns undefined if one is taken. */
async function acquireAll(kinds: readonly Acquire[]): Promise<readonly FileLock[] | undefined> {
  const locks: FileLock[] = [];
  try {
    for (const acquire of kinds) {
      const lock = await acquire();
      if (lock === undefined) break;
      locks.push(lock);
    }
  } catch (error) {
    // Report the first failure.
    await releaseAll(locks).catch(() => undefined);
    throw error;
  }
  if (locks.length === kinds.length) return locks;
  await releaseAll(locks);
  return undefined;
}

/** Releases the last one first. A failure does not keep the others. */
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
  // Closing the descriptor is not enough: a child process between fork and exec shares the open
  // file.
  return { release: async () => addon.unlock(fd, offset, length) };
}

/**
 * The locked byte is far beyond any data, since on Windows a lock also prevents reads of its range.
 * macOS locks whole files only: zeros mean that.
 */
function lockRange(): { offset: number; length: number } {
  return process.platform === 'darwin' ? { offset: 0, length: 0 } : { offset: 2 ** 52, length: 1 };
}

/**
 * Identifies the file, whatever path led to it. No other file can get its inode while it is open.
 * Some network drives on Windows have no inode numbers: then the path is used.
 */
function identityOf({ fd, path }: LockTarget): string {
  const { dev, ino } = fs.fstatSync(fd, { bigint: true });
  return ino === 0n ? fs.realpathSync(path) : `${dev.toString(16)}-${ino.toString(16)}`;
}

function locked(path: string, { description, pid }: LockHolder): VarveError {
  const message =
    `${JSON.stringify(path)} is open for writing by ${description}: ` +
    'close it there first, or open it with readOnly';
  return new VarveError('VARVE_LOCKED', message, { path, pid });
}
