/**
 * lmdb (lmdb-js): a B+ tree of copied pages, written by a thread of its own that takes all puts
 * that wait into one transaction.
 *
 * Without `overlappingSync`, because with it a put may resolve before its sync. Checked by counting
 * over 1,000 single commits: put 1,000 fdatasync and 1,000 writes of the meta page through a
 * descriptor opened with O_DSYNC; putSync the same.
 */

import { join } from 'node:path';
import type { Peer, PeerKind } from './peer.ts';

interface Database {
  put(key: number, value: Uint8Array): Promise<boolean>;
  remove(key: number): Promise<boolean>;
  batch(work: () => void): Promise<boolean>;
  transactionSync(work: () => void): void;
  getBinaryFast(key: number): Uint8Array | undefined;
  close(): Promise<void>;
}

interface Package {
  open(path: string, options: Record<string, unknown>): Database;
}

function open(loaded: unknown, folder: string): Peer {
  const database = (loaded as Package).open(join(folder, 'peer.mdb'), {
    encoding: 'binary',
    keyEncoding: 'uint32',
    overlappingSync: false,
  });
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
    close: () => database.close(),
  };
}

export const lmdb: PeerKind = { name: 'lmdb', open };
