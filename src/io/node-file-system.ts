/**
 * Opens files of this machine for the life of a store: makes the directory entry durable, takes the
 * writer's lock, and warns if nothing can be durable.
 *
 * Invariant: the result is the file that the path names, locked (unless read-only), with a
 * directory entry that survives a power cut. An existing file is never changed. A file that another
 * process may have created is never removed. A failed open leaves no descriptor and no lock, and
 * ENOENT means that the file is missing and was not to be created. I/O on the open file is in
 * `node-storage-file.ts`.
 *
 * It looks at paths synchronously, as opening reads the file: a trip to another thread takes ten
 * times as long. Opening, making and syncing may take long, and do not block.
 */

import type { BigIntStats } from 'node:fs';
import { ioError, systemCode, VarveError } from '../errors.ts';
import type { OpenFileOptions, StorageFile } from './file-system.ts';
import { acquireLock } from './node-lock.ts';
import { nodeModule } from './node-modules.ts';
import { loadNativeExtensions } from './node-native-extensions.ts';
import { NodeStorageFile } from './node-storage-file.ts';
import { systemError } from './system-error.ts';

const fs = nodeModule('fs');

/** Tries of an open if the file is replaced before its lock is taken. */
const attemptsMax = 10;

/** `FileSystem.open` for files of this machine. */
export async function openNodeFile(path: string, options: OpenFileOptions): Promise<StorageFile> {
  try {
    return await openEntry(path, options);
  } catch (error) {
    // If the file was to be created, ENOENT must not say that a store is missing. A folder could
    // not be created (in /proc), or the folder at the end of a link is missing, or one was just
    // removed.
    const isMissing = systemCode(error) === 'ENOENT' && options.create && !options.readOnly;
    throw isMissing ? ioError('creating', path, error) : error;
  }
}

async function openEntry(path: string, options: OpenFileOptions): Promise<StorageFile> {
  for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
    await prepareEntry(path, options);
    const file = options.readOnly ? await openReader(path) : await openWriter(path, options);
    if (file !== undefined) return file;
  }
  throw systemError('ESTALE', 'open', path);
}

/** Throws for entries that must not be opened, and makes missing folders. */
async function prepareEntry(path: string, options: OpenFileOptions): Promise<void> {
  const entry = statIfThere(path);
  if (entry !== undefined) {
    if (options.exclusive) throw systemError('EEXIST', 'open', path);
    // Check before opening: opening a pipe would wait for its other end.
    checkRegular(entry, path);
    return;
  }
  if (options.readOnly || !options.create) throw systemError('ENOENT', 'open', path);
  await makeFolder(parentOf(path));
}

export function statIfThere(path: string): BigIntStats | undefined {
  try {
    return fs.statSync(path, { bigint: true });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function checkRegular(entry: BigIntStats, path: string): void {
  if (entry.isDirectory()) throw systemError('EISDIR', 'open', path);
  if (entry.isFile()) return;
  const message = `${JSON.stringify(path)} is neither a file nor a folder`;
  throw new VarveError('VARVE_NOT_A_STORE', message, { path });
}

/**
 * Makes the folder and missing ones above it. Node's recursive `mkdir` reports ENOENT for a
 * read-only file system, and never returns in /proc.
 */
async function makeFolder(folder: string): Promise<void> {
  if (isFolder(folder)) return;
  const parent = parentOf(folder);
  if (parent !== folder) await makeFolder(parent);
  try {
    await fs.promises.mkdir(folder);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    // Another process has just made it, or a dangling link has its name.
    if (!isFolder(folder)) throw systemError('ENOTDIR', 'mkdir', folder);
  }
}

function parentOf(path: string): string {
  return nodeModule('path').dirname(path);
}

/** False if it does not exist. Throws ENOTDIR if something else has the name. */
function isFolder(path: string): boolean {
  const entry = statIfThere(path);
  if (entry !== undefined && !entry.isDirectory()) throw systemError('ENOTDIR', 'mkdir', path);
  return entry !== undefined;
}

/** Without the addon: a reader takes no lock and makes no holes. */
async function openReader(path: string): Promise<StorageFile> {
  const fd = await openDescriptor(path, fs.constants.O_RDONLY);
  return new NodeStorageFile({ fd, path, lock: undefined, addon: undefined });
}

/** Undefined if the path named another file when the lock was taken. */
async function openWriter(
  path: string,
  options: OpenFileOptions,
): Promise<StorageFile | undefined> {
  const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
  const flags = O_RDWR | (options.create ? O_CREAT : 0) | (options.exclusive ? O_EXCL : 0);
  const addon = await loadNativeExtensions();
  const fd = await openDescriptor(path, flags);
  const lock = await acquireLock({ fd, path }, addon).catch((error: unknown) => {
    fs.closeSync(fd);
    throw error;
  });
  const file = new NodeStorageFile({ fd, path, lock, addon });
  try {
    if (isEntryOf(path, fd)) {
      // Empty: just created, here or by a process that may not have synced yet.
      if (file.length() === 0) await syncFolders(path);
      warnIfVolatile(path);
      return file;
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/** libuv adds O_CLOEXEC: the descriptor is closed when a child process starts another program. */
function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, (error, fd) => {
      if (error) reject(error);
      else resolve(fd);
    });
  });
}

/** False if the file was moved or replaced since it was opened: its lock protects nothing. */
function isEntryOf(path: string, fd: number): boolean {
  const entry = statIfThere(path);
  const file = fs.fstatSync(fd, { bigint: true });
  return entry !== undefined && entry.dev === file.dev && entry.ino === file.ino;
}

/**
 * Syncs the folder of `path`, and each folder above it up to the root of the file system. Any of
 * their entries may be new, made by this process or by one that was killed before it could sync.
 */
export async function syncFolders(path: string): Promise<void> {
  // Windows has no sync of folders; NTFS logs their changes by itself.
  if (process.platform === 'win32') return;
  const own = parentOf(await fs.promises.realpath(path));
  await syncFolder(own);
  const { dev } = await fs.promises.stat(own);
  for (let folder = own; folder !== parentOf(folder); ) {
    folder = parentOf(folder);
    if ((await fs.promises.stat(folder)).dev !== dev) return;
    try {
      await syncFolder(folder);
    } catch (error) {
      // A folder that we may not read was not made by us, nor by a process of the same user.
      if (['EACCES', 'EPERM'].includes(systemCode(error) ?? '')) return;
      throw error;
    }
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.promises.open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems cannot sync folders: nothing can be done.
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

/** `statfs` magic numbers of Linux's file systems in memory. */
const volatileFileSystems: ReadonlyMap<bigint, string> = new Map([
  [0x01021994n, 'tmpfs'],
  [0x858458f6n, 'ramfs'],
]);

let warned = false;

/** Warns, once in each process, about a store that no sync can make durable. */
function warnIfVolatile(path: string): void {
  if (warned || (process.platform !== 'linux' && process.platform !== 'android')) return;
  const name = volatileFileSystems.get(fileSystemType(path));
  if (name === undefined) return;
  warned = true;
  const message =
    `varve: ${JSON.stringify(path)} is on ${name}, which lives in memory: ` +
    'commits there survive the process, but no restart of the machine';
  process.emitWarning(message, { code: 'VARVE_VOLATILE_FILE_SYSTEM' });
}

/** The magic number of the file system. 0 if it is unknown: the store opens anyway. */
function fileSystemType(path: string): bigint {
  try {
    const { type } = fs.statfsSync(path, { bigint: true });
    return BigInt.asUintN(32, type);
  } catch {
    // Deno needs a separate permission for this.
    return 0n;
  }
}
