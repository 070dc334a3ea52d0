/**
 * The writer's lock without native code: each platform has something that Node can ask of the
 * kernel, that only one open file or socket can have, and that goes with its process, killed or
 * not.
 *
 * Linux: listening sockets in the abstract namespace, named after the file's device and inode. They
 * exclude the processes of one network namespace: containers that share a folder but no network
 * need the addon. Windows: a named pipe, likewise. macOS and the BSDs: a second descriptor opened
 * with O_EXLOCK, which is flock, and so excludes holders by the addon too. Elsewhere: ENOTSUP, for
 * a writer without a lock is not safe. Nothing here passes to child processes or keeps the process
 * running, and nothing is left behind that a later opener would have to judge.
 */

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { systemCode } from '../errors.ts';
import { socketOwners } from './node-socket-list.ts';
import { systemError } from './system-error.ts';

/** A lock that is held. */
export interface FileLock {
  release(): Promise<void>;
}

/** An open file, and the path that it was opened by. */
export interface LockTarget {
  readonly fd: number;
  readonly path: string;
}

/** Takes the lock on the file that `identity` names; undefined where another process has it. */
export async function acquirePlatformLock(
  target: LockTarget,
  identity: string,
): Promise<FileLock | undefined> {
  switch (process.platform) {
    case 'linux':
    case 'android':
      return acquireAbstractLock(abstractNames(identity));
    case 'win32':
      return acquirePipeLock(pipeName(identity));
    case 'darwin':
    case 'freebsd':
    case 'netbsd':
    case 'openbsd':
      return acquireOpenLock(target);
    default:
      throw systemError('ENOTSUP', 'lock', target.path);
  }
}

/**
 * Who has the lock that was refused, for the error. On Linux the system tells whether this process
 * has it, by another thread or another copy of the library; elsewhere that cannot be known.
 */
export async function platformHolder(identity: string): Promise<string> {
  const isLinux = process.platform === 'linux' || process.platform === 'android';
  const owners = isLinux ? await socketOwners(abstractNames(identity)) : undefined;
  if (owners === undefined) return 'another process, or another thread of this one';
  return owners.here ? 'this process' : 'another process';
}

/**
 * The two lengths, in bytes, of a socket's name in Linux's `struct sockaddr_un`, which holds 108.
 *
 * Runtimes differ in the names that they can give. Node 20 pads every name with zeros to 108
 * bytes, Bun takes 107 at most, Deno and later versions of Node take both as they are. So each
 * writer takes both, as far as it can, and then looks for sockets of others that have the name that
 * it could not give.
 */
const socketNameBytes = [107, 108] as const;

function abstractNames(identity: string): readonly string[] {
  const name = `\0varve-lock-${digestOf(identity)}`;
  return socketNameBytes.map((bytes) => name.padEnd(bytes, '-'));
}

function pipeName(identity: string): string {
  return `\\\\.\\pipe\\varve-lock-${digestOf(identity)}`;
}

/** The identity can be a path, longer than a name may be. */
function digestOf(identity: string): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 32);
}

/**
 * Takes the names in an order that all writers share, so that of two that begin at once one gets
 * the lock. Whoever takes a name first and looks for the other then never misses the other writer,
 * but two may see each other. Then the one that could not take both withdraws, and so does one that
 * finds a name taken; a Node that pads names, which alone sees them withdraw, looks again.
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
    // The first failure is the one to report.
    await release().catch(() => undefined);
    throw error;
  }
  await release();
  return undefined;
}

/** How often, and how far apart, the list is looked at for a name that may be about to go. */
const looksMax = 10;
const lookPauseMs = 10;

/** False if one of the names is taken. The sockets are added to `servers` as they are made. */
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
 * Where the system's list cannot be read, or does not show the sockets of this process, the names
 * that were taken have to do. They do on Deno, whose permissions withhold the list, and which takes
 * both names.
 */
async function haveOtherOwners(names: readonly string[], looks: number): Promise<boolean> {
  for (let look = 1; look <= looks; look += 1) {
    if (look > 1) await setTimeout(lookPauseMs);
    const owners = await socketOwners(names);
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
    const server = createServer((connection) => connection.destroy());
    // Stays for good: an error later (a stranger connects and there is no descriptor left) does not
    // end the lock, and must not end the process.
    server.on('error', reject);
    // `exclusive`, or the workers of a cluster would share the one socket of their primary.
    server.listen({ path: name, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** The last one made goes first. */
async function closeAll(servers: readonly Server[]): Promise<void> {
  for (const server of servers.toReversed()) await closeServer(server);
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** O_EXLOCK of macOS and the BSDs, which Node passes on but does not name. */
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

/** Opens the file once more, with the lock; undefined where it is taken. */
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
 * Throws where the lock is not on the file that `target` has open, or where a second one is
 * granted: a system that ignores the flag gives no error.
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
