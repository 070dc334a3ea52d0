/**
 * What the benches ask of a peer, the same of all: values under integer keys, in one file or
 * folder.
 *
 * Invariant: what `put` and `putSync` stored is durable when they return or resolve, checked by
 * counting the syncs of each; its adapter says how many. All values of one call are one commit.
 */

import type { OrderedPeer } from './ordered-peer.ts';

export interface Peer {
  /** Stores values under the keys from `key` on, without blocking where it can. */
  put(key: number, values: readonly Uint8Array[]): void | Promise<void>;
  /** The same on the calling thread, where the peer has such a thing. */
  putSync?(key: number, values: readonly Uint8Array[]): void;
  /** Deletes the values under these keys, in one durable commit. */
  remove(keys: readonly number[]): void | Promise<void>;
  /** The value as its quickest synchronous read gives it: good until the next. */
  get?(key: number): Uint8Array | undefined;
  /** A consistent copy in another file, durable or not as the peer makes it. */
  backup?(path: string): Promise<unknown>;
  /** Gives back what deleted values have left, in place. */
  shrink?(): unknown;
  close(): void | Promise<void>;
}

export interface PeerKind {
  /** Name of its package, and its own. */
  readonly name: string;
  /** Opens or makes a database in `folder` with the package as `require` gave it. */
  open(loaded: unknown, folder: string): Peer | Promise<Peer>;
  /** The same with keys of bytes, sorted. */
  openOrdered(loaded: unknown, folder: string): OrderedPeer | Promise<OrderedPeer>;
}

/** Keys in the order of their numbers, for peers that sort bytes. */
export function keyBytes(key: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(key);
  return bytes;
}

/** The first and the last key there can be. */
export const allKeys: readonly [Buffer, Buffer] = [keyBytes(0), keyBytes(0xffff_ffff)];

/** The same memory as a Buffer, for peers that take nothing else. */
export function bufferOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
