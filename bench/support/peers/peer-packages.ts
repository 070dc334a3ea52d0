/**
 * The packages that varve is measured against, found in `bench/` by their names.
 *
 * Invariant: nothing of a peer is loaded before `loadPeer` asks for it, so that a process that
 * measures memory holds the one that it measures. The benches run from `build/`, and the package
 * varve does not know the peers: they are found from `bench/package.json`.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { projectFolder } from '../disk-folder.ts';
import { betterSqlite3 } from './better-sqlite3.ts';
import { classicLevel } from './classic-level.ts';
import { lmdb } from './lmdb.ts';
import type { OrderedPeer } from './ordered-peer.ts';
import type { Peer, PeerKind } from './peer.ts';
import { rocksdb } from './rocksdb.ts';

export const peerKinds: readonly PeerKind[] = [lmdb, betterSqlite3, classicLevel, rocksdb];

/** A peer whose package is loaded. */
export interface LoadedPeer {
  readonly name: string;
  /** Opens or makes its database in `folder`. */
  open(folder: string): Peer | Promise<Peer>;
  /** The same with keys of bytes, sorted. */
  openOrdered(folder: string): OrderedPeer | Promise<OrderedPeer>;
}

/** Throws what `require` throws where it is not installed or does not load. */
export function loadPeer(name: string): LoadedPeer {
  const kind = peerKinds.find((each) => each.name === name);
  if (kind === undefined) throw new Error(`no peer is called ${name}`);
  const loaded: unknown = createRequire(join(projectFolder, 'bench', 'package.json'))(name);
  return {
    name,
    open: (folder) => kind.open(loaded, folder),
    openOrdered: (folder) => kind.openOrdered(loaded, folder),
  };
}
