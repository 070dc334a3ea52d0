/**
 * What the benches of the forest ask of a peer: entries under keys of bytes, sorted by them.
 *
 * Invariant: what `put` stored is durable when it returns or resolves, as with `Peer`, by the same
 * options. All entries of one call are one commit. What a scan gave was looked at: the first byte
 * of each key and of each value are in its sum.
 */

import type { Entries } from '../random-entries.ts';

export interface OrderedPeer {
  /** Stores the entries from the index `from` to before `to`, as its quickest bulk write does. */
  put(entries: Entries, from: number, to: number): void | Promise<void>;
  /** Stores one entry on the calling thread, if the peer can do that. */
  putSync?(entries: Entries, at: number): void;
  /** The value as its quickest synchronous read gives it: good until the next. */
  get?(key: Buffer): Uint8Array | undefined;
  /** Reads `limit` entries from the key on. */
  scan?(from: Buffer, limit: number): number | Promise<number>;
  close(): void | Promise<void>;
}
