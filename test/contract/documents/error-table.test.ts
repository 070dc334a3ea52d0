/**
 * The table of errors in the README: it has every code of `src/errors.ts` in its order, and its column
 * "still works" is true for each.
 *
 * Each code is met once, through the public entries. `VARVE_INTERNAL` is not: nothing reaches it on
 * purpose, so the table must promise nothing after it.
 */

import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { codecs, Forest, reducers, type Transaction } from '../../../src/forest/index.ts';
import {
  GrainId,
  memoryFileSystem,
  type Session,
  type Store,
  type VarveErrorCode,
} from '../../../src/index.ts';
import { compressed } from '../../../src/vault/index.ts';
import type { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  contentOf,
  listOf,
  longBytesOf,
  overwrite,
  placeOf,
  storePath,
  storesOfTest,
} from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();

function textOf(path: string): string {
  return readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
}

const section = /^### Errors\n([\s\S]*?)^##/m.exec(textOf('README.md'))?.[1] ?? '';
const rows = [...section.matchAll(/^\| `(VARVE_\w+)` \| (.+) \| (\w+) \| (.+) \|$/gm)];
const union =
  /export type VarveErrorCode =\n([\s\S]*?)\n\n/.exec(textOf('src/errors.ts'))?.[1] ?? '';
const codes = [...union.matchAll(/'(VARVE_\w+)'/g)].map(([, code]) => code as VarveErrorCode);

/** What still works after an error, the most of it that holds. */
type GoesOn = 'session' | 'store' | 'reads' | 'none';

/** A store with one committed value, and an open session that has staged another. */
interface Held {
  readonly disk: WrappedFileSystem;
  readonly store: Store;
  readonly id: GrainId;
  readonly session: Session;
}

/** Meets the error, and says what works afterwards. */
type Way = (held: Held, code: VarveErrorCode) => Promise<GoesOn>;

const wrongBytes = 'text' as unknown as Uint8Array;
const missing = GrainId.of(0, 0, 999);
const strings = { key: codecs.utf8, value: codecs.json<unknown>() };

async function works(call: () => unknown): Promise<boolean> {
  try {
    await call();
    return true;
  } catch {
    return false;
  }
}

async function ofStore(store: Store, id: GrainId): Promise<GoesOn> {
  if (await works(() => store.put(bytesOf('another')))) return 'store';
  return (await works(() => store.get(id))) ? 'reads' : 'none';
}

/** A call on a store or on its session. */
function calling(call: (held: Held) => unknown): Way {
  return async (held, code) => {
    await check.rejects(code, async () => call(held));
    const goesOn = await works(() => {
      held.session.push(bytesOf('more'));
      return held.session.commit();
    });
    return goesOn ? 'session' : await ofStore(held.store, held.id);
  };
}

/** Nothing was opened, and the file is as free as it was. */
function opening(call: (held: Held) => Promise<unknown>): Way {
  return async (held, code) => {
    await check.rejects(code, () => call(held));
    return 'none';
  };
}

/** A call within the body of a transaction, which catches the error. */
function within(call: (tx: Transaction, forest: Forest) => unknown): Way {
  return async (_, code) => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('tree', strings);
    await tree.put('before', 1);
    const ended = await works(() =>
      forest.transaction(async (tx) => {
        await check.rejects(code, async () => call(tx, forest));
        tx.tree(tree).put('after', 1);
      }),
    );
    expect(await works(() => tree.put('later', 1))).toBe(true);
    const goesOn = ended && tree.has('after') ? 'session' : 'store';
    await forest.close();
    return goesOn;
  };
}

/** A call on a forest in memory; whatever it was made on is over. */
function onForest(call: (forest: Forest) => unknown): Way {
  return async (_, code) => {
    const forest = await Forest.inMemory();
    await check.rejects(code, async () => call(forest));
    const goesOn = (await works(() => forest.tree('t', strings).put('k', 1))) ? 'store' : 'none';
    await forest.close();
    return goesOn;
  };
}

const ways: Readonly<Record<Exclude<VarveErrorCode, 'VARVE_INTERNAL'>, Way>> = {
  VARVE_INVALID_ARGUMENT: calling(({ session }) => session.push(wrongBytes)),
  VARVE_NOT_FOUND: calling(({ session }) => session.archive(missing)),
  VARVE_EXISTS: within((tx) => {
    tx.fork('tree', 'copy');
    tx.fork('tree', 'copy');
  }),
  VARVE_ALREADY_ARCHIVED: calling(({ session, id }) => {
    session.archive(id);
    session.archive(id);
  }),
  VARVE_SESSION_ENDED: calling(({ session }) => {
    session.abandon();
    session.push(bytesOf('late'));
  }),
  VARVE_BUSY: calling(async ({ store, session }) => {
    const put = store.put(bytesOf('busy'));
    try {
      session.commitSync();
    } finally {
      await put;
    }
  }),
  VARVE_CLOSED: calling(async ({ store, id }) => {
    await store.close();
    store.get(id);
  }),
  VARVE_READ_ONLY: async ({ disk, id }, code) => {
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    await check.rejects(code, async () => reader.session());
    return await ofStore(reader, id);
  },
  VARVE_LOCKED: opening(({ disk }) => stores.open(storePath, { fileSystem: disk })),
  VARVE_NOT_A_STORE: opening(async () => {
    const fileSystem = memoryFileSystem();
    await overwrite(fileSystem, bytesOf('a text'));
    await stores.open(storePath, { fileSystem });
  }),
  VARVE_UNSUPPORTED_VERSION: opening(async () => {
    const fileSystem = memoryFileSystem();
    await overwrite(fileSystem, headerOfVersion(7));
    await stores.open(storePath, { fileSystem });
  }),
  VARVE_CORRUPT: async ({ disk, store, session, id }, code) => {
    await session.commit();
    const whole = await committed(store, bytesOf('a whole value'));
    await store.close();
    await overwrite(disk, bytesOf('V'), placeOf(await contentOf(disk), bytesOf('the value')));
    const again = await stores.open(storePath, { fileSystem: disk });
    await check.rejects(code, async () => again.get(id));
    const goesOn = await ofStore(again, whole);
    await again.close();
    return goesOn;
  },
  VARVE_TOO_LARGE: calling(({ session }) => session.push(new Uint8Array(4 * 1024 ** 3))),
  VARVE_LOG_TRUNCATED: async ({ store, session, id }, code) => {
    session.abandon();
    await store.checkpointTo(store.currentBatch);
    await check.rejects(code, () => listOf(store.commitLog({ after: 0 })));
    return await ofStore(store, id);
  },
  VARVE_SNAPSHOT_GONE: async ({ disk, store, session, id }, code) => {
    session.abandon();
    const kept = await committed(store, bytesOf('kept'));
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    await store.checkpointTo(await commit(store, (other) => other.archive(id)));
    await check.rejects(code, async () => reader.get(id));
    await reader.refresh();
    expect(reader.get(id)).toBe(undefined);
    return await ofStore(reader, kept);
  },
  VARVE_IO: calling(({ disk, session }) => {
    disk.fail('write', 'ENOSPC', { times: 2 });
    return session.commit();
  }),
  VARVE_POISONED: calling(({ disk, session }) => {
    disk.fail('datasync', 'EIO', { times: 1 });
    return session.commit();
  }),
  VARVE_NOT_A_FOREST: async ({ store, session, id }, code) => {
    session.abandon();
    await store.updateEmbeddedHeader(() => id);
    await check.rejects(code, () => Forest.on(store));
    return await ofStore(store, id);
  },
  VARVE_TREE_MISMATCH: within((tx, forest) =>
    tx.tree(forest.tree('tree', { key: codecs.u32, value: codecs.u32 })),
  ),
  VARVE_TRANSACTION_ENDED: onForest(async (forest) => {
    const tx = await forest.transaction((one) => one);
    tx.drop('tree');
  }),
  VARVE_SNAPSHOT_RELEASED: onForest((forest) => {
    const tree = forest.tree('tree', strings);
    const snapshot = forest.snapshot();
    snapshot.release();
    snapshot.tree(tree);
  }),
  VARVE_CODEC: within((tx, forest) => tx.tree(forest.tree('tree', strings)).put('nan', Number.NaN)),
  VARVE_VAULT: async ({ store, session, id }, code) => {
    session.abandon();
    const forest = await Forest.on(store);
    await forest.tree('tree', strings).put('key', 1);
    await forest.close();
    await check.rejects(code, () => Forest.on(store, { vault: compressed() }));
    return await ofStore(store, id);
  },
};

/** A sound file header of which only magic and version are known. */
function headerOfVersion(version: number): Uint8Array {
  const header = Buffer.alloc(512);
  header.set([...bytesOf('varve'), 0x0d, 0x0a, 0x1a]);
  header.writeUInt32LE(version, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 508)), 508);
  return header;
}

describe('the table of errors in the README', () => {
  it('has every code of src/errors.ts, in its order, and no other', () => {
    expect(codes.length).toBeGreaterThan(20);
    expect(rows.map(([, code]) => code)).toEqual(codes);
  });

  it('promises nothing after VARVE_INTERNAL', () => {
    const row = rows.find(([, code]) => code === 'VARVE_INTERNAL');
    expect(row?.[3]).toBe('none');
  });

  it('says that a reducer which fails rejects the transaction', async () => {
    const forest = await Forest.inMemory();
    const other = forest.tree('other', strings);
    const fails = (): number => {
      throw new Error('the reducer');
    };
    const summed = forest.tree('summed', { ...strings, reducer: reducers.sum(fails) });
    await check.rejects('VARVE_CODEC', () =>
      forest.transaction(async (tx) => {
        tx.tree(other).put('before', 1);
        // More than one leaf, so that there is a branch to be written.
        for (let key = 0; key < 2000; key++) tx.tree(summed).put(String(key), key);
      }),
    );
    expect([other.has('before'), summed.count()]).toEqual([false, 0]);
    expect(section).toContain('if it fails then, the transaction rejects');
    await forest.close();
  });

  it.each(Object.entries(ways))('says what still works after %s', async (code, way) => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, longBytesOf('the value'));
    const session = store.session();
    session.push(longBytesOf('staged'));
    const goesOn = await way({ store, disk, id, session }, code as VarveErrorCode);
    expect(rows.find((row) => row[1] === code)?.[3]).toBe(goesOn);
  });
});
