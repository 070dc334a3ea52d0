/**
 * The errors of the contract: that each code of the core is reached through the public entry, and
 * what every error carries. The details of each are with the method that throws it.
 *
 * VARVE_INTERNAL is not here: a promise that varve breaks to itself is a defect, not a behaviour.
 */

import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  GrainId,
  memoryFileSystem,
  Store,
  VarveError,
  type VarveErrorCode,
} from '../../src/index.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  contentOf,
  listOf,
  overwrite,
  placeOf,
  storePath,
  storesOfTest,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();

/** Codes that only what is built on the core throws, and the one that nothing should. */
type Later =
  | 'VARVE_INTERNAL'
  | 'VARVE_SNAPSHOT_GONE'
  | 'VARVE_NOT_A_FOREST'
  | 'VARVE_TREE_MISMATCH'
  | 'VARVE_TRANSACTION_ENDED'
  | 'VARVE_SNAPSHOT_RELEASED'
  | 'VARVE_CODEC'
  | 'VARVE_VAULT';
type CoreCode = Exclude<VarveErrorCode, Later>;

interface Case {
  readonly store: Store;
  readonly disk: WrappedFileSystem;
  readonly id: GrainId;
}

const ways: Readonly<Record<CoreCode, (held: Case) => Promise<unknown>>> = {
  VARVE_INVALID_ARGUMENT: async () => GrainId.from(0n),
  VARVE_NOT_FOUND: async () =>
    stores.open('missing', { fileSystem: memoryFileSystem(), create: false }),
  VARVE_EXISTS: async ({ disk }) => stores.open(storePath, { fileSystem: disk, exclusive: true }),
  VARVE_ALREADY_ARCHIVED: ({ store, id }) =>
    commit(store, (session) => {
      session.archive(id);
      session.archive(id);
    }),
  VARVE_SESSION_ENDED: async ({ store }) => {
    const session = store.session();
    session.abandon();
    await session.commit();
  },
  VARVE_BUSY: async ({ store }) => {
    const put = store.put(bytesOf('busy'));
    try {
      store.session().commitSync();
    } finally {
      await put;
    }
  },
  VARVE_CLOSED: async ({ store, id }) => {
    await store.close();
    store.get(id);
  },
  VARVE_READ_ONLY: async ({ disk }) => {
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    reader.session();
  },
  VARVE_LOCKED: async ({ disk }) => stores.open(storePath, { fileSystem: disk }),
  VARVE_NOT_A_STORE: async () => {
    const fileSystem = memoryFileSystem();
    await overwrite(fileSystem, bytesOf('a text'));
    await stores.open(storePath, { fileSystem });
  },
  VARVE_UNSUPPORTED_VERSION: async ({ store, disk }) => {
    await store.close();
    await overwrite(disk, unknownVersion(await contentOf(disk)));
    await stores.open(storePath, { fileSystem: disk });
  },
  VARVE_CORRUPT: async ({ store, disk, id }) => {
    await store.close();
    await overwrite(disk, bytesOf('V'), placeOf(await contentOf(disk), bytesOf('the value')));
    const again = await Store.open(storePath, { fileSystem: disk });
    try {
      again.get(id);
    } finally {
      await again.close();
    }
  },
  VARVE_TOO_LARGE: ({ store }) => store.put(new Uint8Array(4 * 1024 ** 3)),
  VARVE_LOG_TRUNCATED: async ({ store }) => {
    await store.checkpointTo(1);
    await listOf(store.commitLog({ after: 0 }));
  },
  VARVE_IO: ({ store, disk }) => {
    disk.fail('write', 'ENOSPC', { times: 2 });
    return store.put(bytesOf('refused'));
  },
  VARVE_POISONED: ({ store, disk }) => {
    disk.fail('datasync', 'EIO');
    return store.put(bytesOf('who knows'));
  },
};

/** The first header of a store, sound but for its version. */
function unknownVersion(bytes: Uint8Array): Uint8Array {
  const sectorBytes = 512;
  const header = Buffer.from(bytes.slice(0, sectorBytes));
  header.writeUInt32LE(7, 8);
  header.writeUInt32LE(crc32(header.subarray(0, sectorBytes - 4)), sectorBytes - 4);
  return header;
}

describe('every code of the core', () => {
  for (const [code, way] of Object.entries(ways)) {
    it(`is reached: ${code}`, async () => {
      const { store, disk } = await stores.wrapped();
      const id = await committed(store, bytesOf('the value'));
      const call = async (): Promise<unknown> => way({ store, disk, id });
      const error = await check.rejects(code as VarveErrorCode, call);
      expect(error).toBeInstanceOf(Error);
      expect(error.message.length).toBeGreaterThan(10);
      expect(error.message).not.toMatch(/undefined|\[object|NaN/);
      expect(error.stack).toContain('VarveError');
    });
  }
});

describe('a VarveError', () => {
  it('carries its code, its facts as they apply, and its cause where there is one', () => {
    const cause = new Error('the disk');
    const id = GrainId.of(1, 2, 3);
    const facts = { path: 'p', offset: 4, grainId: id, batch: 5, expected: 6, actual: 7, cause };
    const full = new VarveError('VARVE_IO', 'in words', facts);
    expect(full).toMatchObject({ name: 'VarveError', code: 'VARVE_IO', message: 'in words' });
    expect(full).toMatchObject(facts);
    const bare = new VarveError('VARVE_BUSY', 'in words');
    expect(bare).toMatchObject({ path: undefined, offset: undefined, grainId: undefined });
    expect(bare).toMatchObject({ batch: undefined, expected: undefined, actual: undefined });
    expect('cause' in bare).toBe(false);
  });

  it("of the disk's holds the system's error as its cause", async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const fault = disk.fail('open', 'EACCES');
    const open = () => stores.open(storePath, { fileSystem: disk });
    const error = await check.rejects('VARVE_IO', open);
    expect(error.cause).toBe(fault.error);
    expect(error.message).toContain('EACCES');
    expect(error.message).toContain(storePath);
  });
});
