/**
 * Opening files of this machine for the life of a store: the entry in its folder made durable, the
 * writer's lock taken, a warning where nothing can be durable.
 *
 * Invariant: what is resolved to is the file that the path names, locked (unless read-only), with
 * a directory entry that survives a power cut. An existing file is never changed, a file that
 * another process may have made is never removed, a failed open leaves no descriptor and no lock,
 * and ENOENT means that the file is not there and was not to be made. Loaded by `node.ts` at the
 * first open. I/O on the open file is in `node-storage-file.ts`.
 */

import fs from 'node:fs';
import { dirname } from 'node:path';
import { ioError, systemCode, VarveError } from '../errors.ts';
import type { OpenFileOptions, StorageFile } from './file-system.ts';
import { acquireLock } from './node-lock.ts';
import { loadNativeExtensions } from './node-native-extensions.ts';
import { NodeStorageFile } from './node-storage-file.ts';
import { systemError } from './system-error.ts';

/** How often an open is tried again because the file was replaced before its lock was had. */
const attemptsMax = 10;

/** `FileSystem.open` for files of this machine. */
export async function openNodeFile(path: string, options: OpenFileOptions): Promise<StorageFile> {
  try {
    return await openEntry(path, options);
  } catch (error) {
    // To one who wants the file made, ENOENT would say that a store is missing: it is a folder that
    // cannot be made (in /proc), the folder at the end of a link, or one that was just removed.
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

/** Throws for what must not be opened, and makes the folders of what does not exist. */
async function prepareEntry(path: string, options: OpenFileOptions): Promise<void> {
  const entry = await statIfThere(path);
  if (entry !== undefined) {
    if (options.exclusive) throw systemError('EEXIST', 'open', path);
    // Before opening: that of a pipe would wait for the other end of it.
    checkRegular(entry, path);
    return;
  }
  if (options.readOnly || !options.create) throw systemError('ENOENT', 'open', path);
  await makeFolder(dirname(path));
}

async function statIfThere(path: string): Promise<fs.BigIntStats | undefined> {
  try {
    return await fs.promises.stat(path, { bigint: true });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function checkRegular(entry: fs.BigIntStats, path: string): void {
  if (entry.isDirectory()) throw systemError('EISDIR', 'open', path);
  if (entry.isFile()) return;
  const message = `${JSON.stringify(path)} is neither a file nor a folder`;
  throw new VarveError('VARVE_NOT_A_STORE', message, { path });
}

/**
 * Makes the folder and those missing above it. Not by Node's recursive `mkdir`: it says ENOENT for
 * a read-only file system, and never returns in /proc.
 */
async function makeFolder(folder: string): Promise<void> {
  if (await isFolder(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) await makeFolder(parent);
  try {
    await fs.promises.mkdir(folder);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    // Another process made it a moment ago, or a link that leads nowhere has its name.
    if (!(await isFolder(folder))) throw systemError('ENOTDIR', 'mkdir', folder);
  }
}

/** False if there is nothing. Throws ENOTDIR if something else has the name. */
async function isFolder(path: string): Promise<boolean> {
  const entry = await statIfThere(path);
  if (entry !== undefined && !entry.isDirectory()) throw systemError('ENOTDIR', 'mkdir', path);
  return entry !== undefined;
}

async function openReader(path: string): Promise<StorageFile> {
  const addon = await loadNativeExtensions();
  const fd = await openDescriptor(path, fs.constants.O_RDONLY);
  return new NodeStorageFile({ fd, path, lock: undefined, addon });
}

/** Undefined where the path named another file by the time the lock was had. */
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
    if (await isEntryOf(path, fd)) {
      // Empty: just made, here or by a process that may not have come as far as the sync.
      if (file.length() === 0) await syncFolders(path);
      await warnIfVolatile(path);
      return file;
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/** The descriptor is closed when a child process starts another program: libuv adds O_CLOEXEC. */
function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, (error, fd) => {
      if (error) reject(error);
      else resolve(fd);
    });
  });
}

/** False where the file was moved away or replaced since it was opened: its lock guards nothing. */
async function isEntryOf(path: string, fd: number): Promise<boolean> {
  const entry = await statIfThere(path);
  const file = fs.fstatSync(fd, { bigint: true });
  return entry !== undefined && entry.dev === file.dev && entry.ino === file.ino;
}

/**
 * Makes the entry of `path` in its folder durable, and that of each folder above it up to the root
 * of the file system: any of them may have been made moments ago, by this process or by one that
 * was killed before it could sync.
 */
async function syncFolders(path: string): Promise<void> {
  // Windows has no sync of folders; NTFS logs their changes by itself.
  if (process.platform === 'win32') return;
  const own = dirname(await fs.promises.realpath(path));
  await syncFolder(own);
  const { dev } = await fs.promises.stat(own);
  for (let folder = own; folder !== dirname(folder); ) {
    folder = dirname(folder);
    if ((await fs.promises.stat(folder)).dev !== dev) return;
    try {
      await syncFolder(folder);
    } catch (error) {
      // A folder that may not be read by us was not made by us, nor by one who runs as us.
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
    // Some network and FUSE file systems have no sync of folders: there is nothing to be had.
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

/** `statfs` magic numbers of Linux's file systems that live in memory. */
const volatileFileSystems: ReadonlyMap<bigint, string> = new Map([
  [0x01021994n, 'tmpfs'],
  [0x858458f6n, 'ramfs'],
]);

let warned = false;

/** Warns once in each process about a store that no sync can make durable. */
async function warnIfVolatile(path: string): Promise<void> {
  if (warned || (process.platform !== 'linux' && process.platform !== 'android')) return;
  const name = volatileFileSystems.get(await fileSystemType(path));
  if (name === undefined || warned) return;
  warned = true;
  const message =
    `varve: ${JSON.stringify(path)} is on ${name}, which lives in memory: ` +
    'commits there survive the process, but no restart of the machine';
  process.emitWarning(message, { code: 'VARVE_VOLATILE_FILE_SYSTEM' });
}

/** The magic number of the file system, 0 if it cannot be asked: no reason not to open a store. */
async function fileSystemType(path: string): Promise<bigint> {
  try {
    const { type } = await fs.promises.statfs(path, { bigint: true });
    return BigInt.asUintN(32, type);
  } catch {
    // Deno wants a permission for this alone.
    return 0n;
  }
}
