/**
 * Linux's list of sockets in the abstract namespace, and which of them this process owns.
 *
 * It answers two questions that a bind cannot: whether another process has a name that this runtime
 * cannot bind, and whether this process has a name that is taken. It changes nothing. If /proc is
 * not readable (no permission, not mounted), the answer is unknown.
 */

import fs from 'node:fs';
import { systemCode } from '../errors.ts';

/** Whether this process, and whether others, have sockets with the requested names. */
export interface SocketOwners {
  readonly here: boolean;
  readonly elsewhere: boolean;
}

/**
 * Searches exactly these names, which begin with a zero byte; undefined if the answer is unknown.
 */
export async function socketOwners(names: readonly string[]): Promise<SocketOwners | undefined> {
  try {
    const inodes = await socketInodes(names);
    const ownCount = await countOwn(inodes);
    return { here: ownCount > 0, elsewhere: ownCount < inodes.size };
  } catch {
    // The reason why /proc is not readable does not matter.
    return undefined;
  }
}

/**
 * A line is `Num RefCount Protocol Flags Type St Inode Path`. State 01 is that of a socket without
 * a peer: connections that a socket accepted are listed under its name too.
 */
const listedSocket = /^\S+ \S+ \S+ \S+ \S+ 01 +(\d+) (@.*)$/;

async function socketInodes(names: readonly string[]): Promise<ReadonlySet<string>> {
  const list = await fs.promises.readFile('/proc/net/unix', 'latin1');
  const wanted = new Set(names.map((name) => name.replaceAll('\0', '@')));
  const inodes = new Set<string>();
  for (const line of list.split('\n')) {
    const [, inode, name] = listedSocket.exec(line) ?? [];
    if (inode !== undefined && name !== undefined && wanted.has(name)) inodes.add(inode);
  }
  return inodes;
}

/** Number of these sockets that are open in this process, in any thread. */
async function countOwn(inodes: ReadonlySet<string>): Promise<number> {
  if (inodes.size === 0) return 0;
  const descriptors = await fs.promises.readdir('/proc/self/fd');
  const own = new Set<string>();
  // From the highest: a recent socket is near the end. Stops when all are found.
  for (const descriptor of descriptors.sort((a, b) => Number(b) - Number(a))) {
    const inode = inodeIn(await linkOf(descriptor));
    if (inode !== undefined && inodes.has(inode)) own.add(inode);
    if (own.size === inodes.size) break;
  }
  return own.size;
}

/** Empty if the descriptor was closed meanwhile. */
async function linkOf(descriptor: string): Promise<string> {
  try {
    return await fs.promises.readlink(`/proc/self/fd/${descriptor}`);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}

function inodeIn(link: string): string | undefined {
  return /^socket:\[(\d+)\]$/.exec(link)?.[1];
}
