/**
 * rocksdb: the binding of the Level project to RocksDB 6, kept no longer but the one there is.
 *
 * Every write has `sync: true`. Checked by counting over 1,000 single commits: 1,000 fdatasync. It
 * has callbacks only, and no synchronous read.
 */

import { join } from 'node:path';
import type { OrderedPeer } from './ordered-peer.ts';
import { allKeys, bufferOf, keyBytes, type Peer, type PeerKind } from './peer.ts';

type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

type Done = (error?: Error | null) => void;

interface Database {
  open(options: Record<string, unknown>, done: Done): void;
  put(key: Buffer, value: Buffer, options: { sync: boolean }, done: Done): void;
  batch(operations: readonly Operation[], options: { sync: boolean }, done: Done): void;
  compactRange(from: Buffer, to: Buffer, done: Done): void;
  close(done: Done): void;
}

type Package = (path: string) => Database;

const durable = { sync: true };

function promised(begin: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    begin((error) => (error ? reject(error) : resolve()));
  });
}

async function opened(loaded: unknown, folder: string): Promise<Database> {
  const database = (loaded as Package)(join(folder, 'peer'));
  await promised((done) => database.open({}, done));
  return database;
}

async function open(loaded: unknown, folder: string): Promise<Peer> {
  const database = await opened(loaded, folder);
  return {
    put(key, values) {
      const [first] = values;
      if (values.length === 1 && first !== undefined) {
        return promised((done) => database.put(keyBytes(key), bufferOf(first), durable, done));
      }
      const operations = values.map(
        (value, at): Operation => ({
          type: 'put',
          key: keyBytes(key + at),
          value: bufferOf(value),
        }),
      );
      return promised((done) => database.batch(operations, durable, done));
    },
    remove(keys) {
      const operations = keys.map((key): Operation => ({ type: 'del', key: keyBytes(key) }));
      return promised((done) => database.batch(operations, durable, done));
    },
    shrink: () => promised((done) => database.compactRange(...allKeys, done)),
    close: () => promised((done) => database.close(done)),
  };
}

async function openOrdered(loaded: unknown, folder: string): Promise<OrderedPeer> {
  const database = await opened(loaded, folder);
  return {
    put({ keys, values }, from, to) {
      if (to - from === 1) {
        const key = keys[from] as Buffer;
        return promised((done) => database.put(key, values[from] as Buffer, durable, done));
      }
      const operations: Operation[] = [];
      for (let at = from; at < to; at++) {
        operations.push({ type: 'put', key: keys[at] as Buffer, value: values[at] as Buffer });
      }
      return promised((done) => database.batch(operations, durable, done));
    },
    close: () => promised((done) => database.close(done)),
  };
}

export const rocksdb: PeerKind = { name: 'rocksdb', open, openOrdered };
