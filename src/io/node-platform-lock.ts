/**
 * The writer's lock without native code. Node can get something from each platform's kernel that
 * only one open file or socket can have, and that ends with its process, killed or not.
 *
 * - Linux: listening sockets in the abstract namespace, named by the file's device and inode. They
 *   exclude processes of one network namespace: containers that share only a folder need the addon.
 * - Windows: a named pipe, with the same kind of name.
 * - macOS and the BSDs: a second descriptor opened with O_EXLOCK. This is flock, so it also
 *   excludes holders by the addon.
 * - Elsewhere: ENOTSUP, since a writer without a lock is not safe.
 *
 * No lock passes to child processes or keeps the process running, and none leaves a trace that a
 * later open would have to judge.
 */

import type { Server } from 'node:net';
import { systemCode } from '../errors.ts';
import { nodeModule } from './node-modules.ts';
import { otherOwner, socketOwners } from './node-socket-list.ts';
import { systemError } from './system-error.ts';

const fs = nodeModule('fs');

/** A held lock. */
export interface FileLock {
  release(): Promise<void>;
}

/** An open file, and its path. */
export interface LockTarget {
  readonly fd: number;
  readonly path: string;
}

/** Takes the lock on the file with this `identity`; undefined if another process has it. */
export async function acquirePlatformLock(
  target: LockTarget,
  identity: string,
): Promise<FileLock | undefined> {
  switch (process.platform) {
    case 'linux':
    case 'android':
      return acquireAbstractLock(await abstractNames(identity));
    case 'win32':
      return acquirePipeLock(await pipeName(identity));
    case 'darwin':
    case 'freebsd':
    case 'netbsd':
    case 'openbsd':
      return acquireOpenLock(target);
    default:
      throw systemError('ENOTSUP', 'lock', target.path);
  }
}

/** A writer that has a lock, for the error. */
export interface LockHolder {
  readonly description: string;
  /** Undefined if the system does not tell. */
  readonly pid?: number | undefined;
}

/** The process that runs this. */
export function thisProcess(): LockHolder {
  return { description: 'this process', pid: process.pid };
}

/**
 * The holder of a refused lock. On Linux the system tells if this process holds it, in another
 * thread or another copy of the library, and mostly which other process does. Elsewhere that is
 * unknown.
 *
 * A writer without sockets has no name: it holds only the addon's lock, since it takes or releases
 * the sockets just now, or its sockets are in another network namespace. Or it has let go since.
 */
export async function platformHolder(identity: string): Promise<LockHolder> {
  const isLinux = process.platform === 'linux' || process.platform === 'android';
  const names = isLinux ? await abstractNames(identity) : [];
  const owners = isLinux ? socketOwners(names) : undefined;
  if (owners === undefined)
    return { description: 'another process, or another thread of this one' };
  if (owners.here) return thisProcess();
  if (!owners.elsewhere) {
    return {
      description:
        'another writer, which is just opening or closing it or is in another container,',
    };
  }
  const pid = await otherOwner(names);
  const description = pid === undefined ? 'another process' : `another process (pid ${pid})`;
  return { description, pid };
}

/**
 * The two lengths, in bytes, of a socket's name in Linux's `struct sockaddr_un`, which holds 108.
 *
 * Runtimes differ in the names that they can bind: Node 20 pads every name with zeros to 108 bytes,
 * Bun takes at most 107, Deno and later versions of Node take both unchanged. Therefore each writer
 * takes both if it can, and then searches for other processes' sockets with the name that it could
 * not bind.
 */
const socketNameBytes = [107, 108] as const;

async function abstractNames(identity: string): Promise<readonly string[]> {
  const name = `\0varve-lock-${await shortName(identity)}`;
  return socketNameBytes.map((bytes) => name.padEnd(bytes, '-'));
}

async function pipeName(identity: string): Promise<string> {
  return `\\\\.\\pipe\\varve-lock-${await shortName(identity)}`;
}

/**
 * Device and inode as they are; a path has characters that a name must not have, or is longer than
 * a name may be.
 */
async function shortName(identity: string): Promise<string> {
  if (/^[0-9a-f]+-[0-9a-f]+$/.test(identity)) return identity;
  // Loaded only here: it takes longer than the lock.
  const { createHash } = await import('node:crypto');
  return createHash('sha256').update(identity).digest('hex').slice(0, 32);
}

/**
 * Takes the names in an order that all writers share, so that one of two that begin at once gets
 * the lock. A writer takes its names first and looks for others then, so it never misses another
 * writer, but two may see each other. Then a writer that could not take both names withdraws, and
 * so does one that finds a name taken. Only a Node that pads names sees others withdraw: it looks
 * again.
 */
async function acquireAbstractLock(names: readonly string[]): Promise<FileLock | undefined> {
  const servers: Server[] = [];
  const release = () => closeAll(servers);
  try {
    if (await listenOnAll(names, servers)) {
      const looks = servers.length === names.length ? looksMax : 1;
      if (!(await haveOtherOwners(names, looks))) return { release };
    }
  } catch (error) {
    // Report the first failure.
    await release().catch(() => undefined);
    throw error;
  }
  await release();
  return undefined;
}

/**
 * Number of looks at the list, and the pause between them, for a name that may soon be released.
 */
const looksMax = 10;
const lookPauseMs = 10;

/** False if one of the names is taken. Adds the sockets to `servers` as they are made. */
async function listenOnAll(names: readonly string[], servers: Server[]): Promise<boolean> {
  let impossible: unknown;
  for (const name of names) {
    try {
      servers.push(await listen(name));
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EADDRINUSE') return false;
      if (code !== 'EINVAL') throw error;
      impossible = error;
    }
  }
  if (servers.length === 0) throw impossible;
  return true;
}

/**
 * If the system's list is not readable, or does not show this process's sockets, the taken names
 * are enough. This is so on Deno, whose permissions withhold the list, and which takes both names.
 */
async function haveOtherOwners(names: readonly string[], looks: number): Promise<boolean> {
  for (let look = 1; look <= looks; look += 1) {
    if (look > 1) await new Promise((resolve) => setTimeout(resolve, lookPauseMs));
    const owners = socketOwners(names);
    if (owners === undefined || !owners.here || !owners.elsewhere) return false;
  }
  return true;
}

async function acquirePipeLock(name: string): Promise<FileLock | undefined> {
  try {
    const server = await listen(name);
    return { release: () => closeServer(server) };
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') return undefined;
    throw error;
  }
}

function listen(name: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = nodeModule('net').createServer((connection) => connection.destroy());
    // Keep this listener: a later error (a stranger connects and no descriptor is left) does not
    // end the lock, and must not end the process.
    server.on('error', reject);
    // `exclusive`: otherwise the workers of a cluster would share one socket of their primary.
    server.listen({ path: name, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** Closes the last one first. */
async function closeAll(servers: readonly Server[]): Promise<void> {
  for (const server of servers.toReversed()) await closeServer(server);
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** O_EXLOCK of macOS and the BSDs: Node passes it on but has no name for it. */
const openLockFlag = 0x20;

async function acquireOpenLock(target: LockTarget): Promise<FileLock | undefined> {
  const lockFd = openLocked(target.path);
  if (lockFd === undefined) return undefined;
  try {
    checkEnforced(target, lockFd);
  } catch (error) {
    fs.closeSync(lockFd);
    throw error;
  }
  return { release: async () => fs.closeSync(lockFd) };
}

/** Opens the file again, with the lock; undefined if that is taken. */
function openLocked(path: string): number | undefined {
  const { O_RDONLY, O_NONBLOCK } = fs.constants;
  try {
    return fs.openSync(path, O_RDONLY | O_NONBLOCK | openLockFlag);
  } catch (error) {
    if (systemCode(error) === 'EAGAIN') return undefined;
    throw error;
  }
}

/**
 * Throws if the lock is not on the file that `target` has open, or if a second one is granted: a
 * system that ignores the flag reports no error.
 */
function checkEnforced(target: LockTarget, lockFd: number): void {
  const wanted = fs.fstatSync(target.fd, { bigint: true });
  const actual = fs.fstatSync(lockFd, { bigint: true });
  if (wanted.dev !== actual.dev || wanted.ino !== actual.ino) {
    throw systemError('ESTALE', 'lock', target.path);
  }
  const second = openLocked(target.path);
  if (second === undefined) return;
  fs.closeSync(second);
  throw systemError('ENOTSUP', 'lock', target.path);
}
