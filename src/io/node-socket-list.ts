/**
 * Linux's list of sockets in the abstract namespace, and which of them this process owns.
 *
 * It answers two questions that a bind cannot: whether another process has a name that this runtime
 * cannot bind, and whether this process has a name that is taken. It changes nothing. If /proc is
 * not readable (no permission, not mounted), the answer is unknown. Reads are synchronous: /proc is
 * in memory, and each trip to another thread takes longer than the read.
 */

import { systemCode } from '../errors.ts';
import { nodeModule } from './node-modules.ts';

const fs = nodeModule('fs');

/** Whether this process, and whether others, have sockets with the requested names. */
export interface SocketOwners {
  readonly here: boolean;
  readonly elsewhere: boolean;
}

/**
 * Searches exactly these names, which begin with a zero byte; undefined if the answer is unknown.
 */
export function socketOwners(names: readonly string[]): SocketOwners | undefined {
  try {
    const inodes = socketInodes(names);
    const ownCount = countOwn(inodes);
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

function socketInodes(names: readonly string[]): ReadonlySet<string> {
  const list = fs.readFileSync('/proc/net/unix', 'latin1');
  const wanted = names.map((name) => name.replaceAll('\0', '@'));
  const inodes = new Set<string>();
  for (const line of list.split('\n')) {
    // Faster than the expression, which is not compiled yet.
    if (!wanted.some((end) => line.endsWith(end))) continue;
    const [, inode, name] = listedSocket.exec(line) ?? [];
    if (inode !== undefined && name !== undefined && wanted.includes(name)) inodes.add(inode);
  }
  return inodes;
}

/** Number of these sockets that are open in this process, in any thread. */
function countOwn(inodes: ReadonlySet<string>): number {
  if (inodes.size === 0) return 0;
  const descriptors = fs.readdirSync('/proc/self/fd');
  const own = new Set<string>();
  // From the highest: a recent socket is near the end. Stops when all are found.
  for (const descriptor of descriptors.sort((a, b) => Number(b) - Number(a))) {
    const inode = inodeIn(linkOf(descriptor));
    if (inode !== undefined && inodes.has(inode)) own.add(inode);
    if (own.size === inodes.size) break;
  }
  return own.size;
}

/** Empty if the descriptor was closed meanwhile. */
function linkOf(descriptor: string): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}

function inodeIn(link: string): string | undefined {
  return /^socket:\[(\d+)\]$/.exec(link)?.[1];
}
