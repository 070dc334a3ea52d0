/**
 * The peers that are installed in `bench/`, as contestants.
 *
 * Invariant: a bench works without them: one that is missing or cannot be loaded on this machine
 * is left out, and `missingPeers` names it. They are found from `bench/package.json`, because the
 * benches run from `build/`; the package varve does not know them.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Contestant, Running } from '../contestant.ts';
import { projectFolder } from '../disk-folder.ts';
import { betterSqlite3 } from './better-sqlite3.ts';
import { classicLevel } from './classic-level.ts';
import { lmdb } from './lmdb.ts';
import type { Peer, PeerKind } from './peer.ts';
import { rocksdb } from './rocksdb.ts';

const kinds: readonly PeerKind[] = [lmdb, betterSqlite3, classicLevel, rocksdb];

const requirePeer = createRequire(join(projectFolder, 'bench', 'package.json'));

const installed = new Map<PeerKind, unknown>();
const missing: string[] = [];
for (const kind of kinds) {
  try {
    installed.set(kind, requirePeer(kind.name));
  } catch (error) {
    const { code } = error as { code?: unknown };
    const reason = code === 'MODULE_NOT_FOUND' ? 'not installed' : `does not load: ${error}`;
    missing.push(`${kind.name} (${reason.split('\n', 1)[0]})`);
  }
}

/** Those that are left out, each with the reason. */
export const missingPeers: readonly string[] = missing;

/** How a question makes a peer do its work. */
type PeerWork = (peer: Peer) => Omit<Running, 'close'> | Promise<Omit<Running, 'close'>>;

/** A contestant for each peer that is installed. */
export function peerContestants(
  work: PeerWork,
  how: {
    /** What is added to the names. */
    readonly suffix?: string;
    readonly only?: readonly string[];
    readonly floor?: string;
    readonly clients?: number;
    readonly operations?: number;
  } = {},
): Contestant[] {
  const { suffix = '', only, ...rest } = how;
  const chosen = [...installed].filter(([{ name }]) => only?.includes(name) ?? true);
  return chosen.map(
    ([kind, loaded]): Contestant => ({
      name: `${kind.name}${suffix}`,
      kind: 'peer',
      ...rest,
      async open(folder) {
        const peer = await kind.open(loaded, folder);
        return { ...(await work(peer)), close: () => peer.close() };
      },
    }),
  );
}
