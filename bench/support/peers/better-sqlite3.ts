/**
 * better-sqlite3: SQLite's B-tree with a write-ahead log, on the calling thread.
 *
 * `journal_mode = WAL` and `synchronous = FULL`, so that each commit syncs the log (NORMAL would
 * sync at checkpoints only). Checked by counting over 1,000 single commits: 1,000 fsync, and 3 for
 * the checkpoints that it makes of its own accord.
 */

import { join } from 'node:path';
import type { Peer, PeerKind } from './peer.ts';

interface Statement {
  run(...values: unknown[]): unknown;
  get(...values: unknown[]): unknown;
  pluck(): Statement;
}

interface Database {
  pragma(text: string): unknown;
  exec(text: string): unknown;
  prepare(text: string): Statement;
  transaction<Arguments extends unknown[]>(
    work: (...values: Arguments) => void,
  ): (...values: Arguments) => void;
  close(): unknown;
}

type Package = new (path: string) => Database;

function open(loaded: unknown, folder: string): Peer {
  const database = new (loaded as Package)(join(folder, 'peer.db'));
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE IF NOT EXISTS stored (id INTEGER PRIMARY KEY, data BLOB NOT NULL)');
  const write = database.prepare(
    'INSERT INTO stored VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data',
  );
  const read = database.prepare('SELECT data FROM stored WHERE id = ?').pluck();
  const writeAll = database.transaction((key: number, values: readonly Uint8Array[]) => {
    for (const value of values) write.run(key++, value);
  });
  const erase = database.prepare('DELETE FROM stored WHERE id = ?');
  const eraseAll = database.transaction((keys: readonly number[]) => {
    for (const key of keys) erase.run(key);
  });
  const put = (key: number, values: readonly Uint8Array[]): void => {
    if (values.length === 1) write.run(key, values[0]);
    else writeAll(key, values);
  };
  return {
    put,
    putSync: put,
    remove: (keys) => eraseAll(keys),
    get: (key) => read.get(key) as Uint8Array | undefined,
    close: () => void database.close(),
  };
}

export const betterSqlite3: PeerKind = { name: 'better-sqlite3', open };
