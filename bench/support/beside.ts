/**
 * A long operation of a store beside the commits of one client, and what both are held against.
 */

import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { type GrainId, Store } from '../../src/index.ts';
import { Payload } from './payload.ts';
import type { Peer } from './peers/peer.ts';

const together = 1000;

/** Values of the same length, stored a thousand at a time. */
export interface Values {
  readonly bytes: number;
  readonly values: number;
}

/** The data of the file reaches the disk. */
export function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  fdatasyncSync(file);
  closeSync(file);
}

/** A store of these values, opened again. The ids of the values go to `ids`. */
export async function storeWith(
  path: string,
  { bytes, values }: Values,
  ids: GrainId[] = [],
): Promise<Store> {
  const payload = new Payload();
  const store = await Store.open(path);
  for (let at = 0; at < values; ) {
    const session = store.session();
    for (const end = Math.min(values, at + together); at < end; at++) {
      ids.push(session.push(payload.next(bytes)));
    }
    await session.commit();
  }
  await store.close();
  return await Store.open(path);
}

/** The same values in a peer, under the keys from 0 on. */
export async function fillPeer(peer: Peer, { bytes, values }: Values): Promise<void> {
  const payload = new Payload();
  for (let at = 0; at < values; at += together) {
    const count = Math.min(together, values - at);
    await peer.put(
      at,
      Array.from({ length: count }, () => payload.next(bytes)),
    );
  }
}

/** Commits one after the other until `isOver`; the p99 of their times, milliseconds. */
export async function commitsUntil(store: Store, isOver: () => boolean): Promise<number> {
  const payload = new Payload();
  const times: number[] = [];
  while (!isOver()) {
    const session = store.session();
    session.push(payload.next(100));
    const began = performance.now();
    await session.commit();
    times.push(performance.now() - began);
  }
  times.sort((one, other) => one - other);
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN;
}
