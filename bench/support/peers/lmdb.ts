/**
 * lmdb (lmdb-js): a B+ tree of copied pages, written by a thread of its own that takes all puts
 * that wait into one transaction.
 *
 * Without `overlappingSync`, because with it a put may resolve before its sync. Checked by counting
 * over 1,000 single commits: put 1,000 fdatasync and 1,000 writes of the meta page through a
 * descriptor opened with O_DSYNC; putSync the same.
 */

import { join } from 'node:path';
import type { OrderedPeer } from './ordered-peer.ts';
import type { Peer, PeerKind } from './peer.ts';

interface Database<Key> {
  put(key: Key, value: Uint8Array): Promise<boolean>;
  remove(key: Key): Promise<boolean>;
  batch(work: () => void): Promise<boolean>;
  transactionSync(work: () => void): void;
  getBinaryFast(key: Key): Uint8Array | undefined;
  backup(path: string, compact: boolean): Promise<void>;
  getRange(range: { start: Key; limit: number }): Iterable<{ key: Key; value: Uint8Array }>;
  close(): Promise<void>;
}

interface Package {
  open<Key>(path: string, options: Record<string, unknown>): Database<Key>;
}

function durable<Key>(loaded: unknown, folder: string, keyEncoding: string): Database<Key> {
  return (loaded as Package).open<Key>(join(folder, 'peer.mdb'), {
    encoding: 'binary',
    keyEncoding,
    overlappingSync: false,
  });
}

function open(loaded: unknown, folder: string): Peer {
  const database = durable<number>(loaded, folder, 'uint32');
  return {
    async put(key, values) {
      if (values.length === 1) {
        await database.put(key, values[0] as Uint8Array);
        return;
      }
      await database.batch(() => {
        // Their promises are that of the batch.
        for (const value of values) void database.put(key++, value);
      });
    },
    putSync(key, values) {
      database.transactionSync(() => {
        for (const value of values) void database.put(key++, value);
      });
    },
    async remove(keys) {
      await database.batch(() => {
        for (const key of keys) void database.remove(key);
      });
    },
    get: (key) => database.getBinaryFast(key),
    backup: (path) => database.backup(path, true),
    close: () => database.close(),
  };
}

function openOrdered(loaded: unknown, folder: string): OrderedPeer {
  const database = durable<Buffer>(loaded, folder, 'binary');
  return {
    async put({ keys, values }, from, to) {
      if (to - from === 1) {
        await database.put(keys[from] as Buffer, values[from] as Buffer);
        return;
      }
      // Measured: as quick as `batch` of 10,000, and a third quicker of a million.
      database.transactionSync(() => {
        for (let at = from; at < to; at++) {
          void database.put(keys[at] as Buffer, values[at] as Buffer);
        }
      });
    },
    putSync({ keys, values }, at) {
      database.transactionSync(() => {
        void database.put(keys[at] as Buffer, values[at] as Buffer);
      });
    },
    get: (key) => database.getBinaryFast(key),
    scan(from, limit) {
      let sum = 0;
      for (const { key, value } of database.getRange({ start: from, limit })) {
        sum += (key[0] as number) + (value[0] as number);
      }
      return sum;
    },
    close: () => database.close(),
  };
}

export const lmdb: PeerKind = { name: 'lmdb', open, openOrdered };
