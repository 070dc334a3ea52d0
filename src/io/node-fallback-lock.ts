/**
 * The writer's lock without native code: each platform has something that Node can ask of the
 * kernel, that only one open file or socket can have, and that goes with its process, killed or
 * not.
 *
 * Linux: a listening socket in the abstract namespace, named after the file's device and inode. It
 * excludes the processes of one network namespace: containers that share a folder but no network
 * need the addon. Windows: a named pipe, likewise. macOS and the BSDs: a second descriptor opened
 * with O_EXLOCK, which is flock, and so excludes holders by the addon too. Elsewhere: ENOTSUP, for
 * a writer without a lock is not safe. Nothing here passes to child processes or keeps the process
 * running, and nothing is left behind that a later opener would have to judge.
 */

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createServer, type Server } from 'node:net';
import { systemCode } from '../errors.ts';
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
      return acquireSocketLock(abstractName(identity));
    case 'win32':
      return acquireSocketLock(pipeName(identity));
    case 'darwin':
    case 'freebsd':
    case 'netbsd':
    case 'openbsd':
      return acquireOpenLock(target);
    default:
      throw systemError('ENOTSUP', 'lock', target.path);
  }
}

/** The bytes of a socket's name in Linux's `struct sockaddr_un`. */
const socketNameBytes = 108;

/**
 * All 108 bytes are used: versions of libuv differ in whether a shorter name is padded with zeros,
 * and two programs whose versions differ would get two sockets.
 */
function abstractName(identity: string): string {
  return `\0varve-lock-${digestOf(identity)}`.padEnd(socketNameBytes, '-');
}

function pipeName(identity: string): string {
  return `\\\\.\\pipe\\varve-lock-${digestOf(identity)}`;
}

/** The identity can be a path, longer than a name may be. */
function digestOf(identity: string): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 32);
}

async function acquireSocketLock(name: string): Promise<FileLock | undefined> {
  let server: Server;
  try {
    server = await listen(name);
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') return undefined;
    throw error;
  }
  return { release: () => closeServer(server) };
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
