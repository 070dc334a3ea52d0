/**
 * Linux's list of sockets in the abstract namespace, and which processes own them.
 *
 * It answers three questions that a bind cannot: whether another process has a name that this
 * runtime cannot bind, whether this process has a name that is taken, and which other process has
 * it. It changes nothing. If /proc is not readable (no permission, not mounted), the answer is
 * unknown. Reads are synchronous: /proc is in memory, and each trip to another thread takes longer
 * than the read.
 */

import { systemCode } from '../errors.ts';
import { Breather } from '../util/breather.ts';
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
  const own = new Set<string>();
  // Stops when all are found.
  for (const descriptor of descriptorsOf('self')) {
    const inode = inodeIn(linkOf('self', descriptor));
    if (inode !== undefined && inodes.has(inode)) own.add(inode);
    if (own.size === inodes.size) break;
  }
  return own.size;
}

/** From the highest: a recent socket is near the end. */
function descriptorsOf(pid: string): string[] {
  return fs.readdirSync(`/proc/${pid}/fd`).sort((a, b) => Number(b) - Number(a));
}

/** Empty if the descriptor was closed meanwhile. */
function linkOf(pid: string, descriptor: string): string {
  try {
    return fs.readlinkSync(`/proc/${pid}/fd/${descriptor}`);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}

function inodeIn(link: string): string | undefined {
  return /^socket:\[(\d+)\]$/.exec(link)?.[1];
}

/**
 * The owners found last, by the inodes of their sockets; undefined if the system does not show the
 * owner. A writer that waits for a lock asks again and again, and a search looks at every
 * descriptor of every process.
 */
const ownersFound = new Map<string, number | undefined>();
const ownersFoundMax = 64;

/**
 * The id of another process that has a socket with one of these names; undefined if there is none,
 * or if the system does not show it: it shows processes of the same user in the same container.
 */
export async function otherOwner(names: readonly string[]): Promise<number | undefined> {
  try {
    const inodes = socketInodes(names);
    const key = [...inodes].join(' ');
    if (ownersFound.has(key)) return ownersFound.get(key);
    if (ownersFound.size >= ownersFoundMax) ownersFound.clear();
    const owner = inodes.size === 0 ? undefined : await searchOwner(inodes);
    ownersFound.set(key, owner);
    return owner;
  } catch {
    // The reason why /proc is not readable does not matter.
    return undefined;
  }
}

/** Looks at the processes one by one, the newest first. */
async function searchOwner(inodes: ReadonlySet<string>): Promise<number | undefined> {
  const breather = new Breather();
  const processes = fs.readdirSync('/proc').map(Number).filter(Number.isSafeInteger);
  for (const pid of processes.sort((a, b) => b - a)) {
    if (pid === process.pid) continue;
    try {
      for (const descriptor of descriptorsOf(`${pid}`)) {
        if (breather.due) await breather.turn();
        const inode = inodeIn(linkOf(`${pid}`, descriptor));
        if (inode !== undefined && inodes.has(inode)) return pid;
      }
    } catch {
      // A process of another user, or one that has ended.
    }
  }
  return undefined;
}
