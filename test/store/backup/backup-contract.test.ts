/**
 * `Store.backupTo` and `Forest.backupTo` as users call them: what is refused and with which code,
 * names and locks of the target, and what the copy is.
 */

import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { codecs, Forest } from '../../../src/forest/index.ts';
import {
  type BackupOptions,
  type FileSystem,
  memoryFileSystem,
  type Progress,
  Store,
} from '../../../src/index.ts';
import {
  bytesOf,
  check,
  committed,
  listOf,
  storesOfTest,
} from '../../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';

const stores = storesOfTest();
const folder = makeTemporaryFolder();
let made = 0;

afterAll(() => removeTemporaryFolder(folder));

async function inFolder(name = `source-${made++}`): Promise<Store> {
  const store = await stores.open(join(folder, name));
  await committed(store, bytesOf('value'));
  return store;
}

describe('a backup', () => {
  it('is a closed store with the same ids, header and batch, and an empty log', async () => {
    const store = await inFolder();
    const ids = [];
    for (const text of ['one', 'two', 'three']) ids.push(await committed(store, bytesOf(text)));
    const session = store.session();
    session.archive(ids[0] as (typeof ids)[0]);
    session.setEmbeddedHeader(ids[2] as (typeof ids)[0]);
    const last = await session.commit();
    const path = join(folder, 'deep', 'copy');
    const { batch, bytes, values } = await store.backupTo(path);
    expect(batch).toBe(last);
    expect(values).toBe(3);
    expect(readFileSync(path).length).toBe(bytes);
    const copy = await stores.open(path, { create: false });
    expect(copy.recovery).toMatchObject({ clean: true, replayedBatches: 0 });
    expect([copy.currentBatch, copy.checkpoint]).toEqual([last, last]);
    expect(copy.embeddedHeader).toBe(ids[2]);
    expect(ids.map((id) => copy.get(id))).toEqual([undefined, bytesOf('two'), bytesOf('three')]);
    expect(await listOf(copy.commitLog())).toEqual([]);
    const next = await committed(copy, bytesOf('four'));
    expect(copy.currentBatch).toBe(last + 1);
    expect(copy.get(next)).toEqual(bytesOf('four'));
  });

  it('of a store that was never written to is one too', async () => {
    const store = await stores.open(join(folder, 'empty'));
    const path = join(folder, 'empty-copy');
    expect(await store.backupTo(path)).toMatchObject({ batch: 0, values: 0 });
    const copy = await stores.open(path, { create: false });
    expect([copy.currentBatch, copy.checkpoint]).toEqual([0, 0]);
    await committed(copy, bytesOf('first'));
    expect(copy.currentBatch).toBe(1);
  });

  it('of a store in memory goes to a file', async () => {
    const store = stores.keep(await Store.inMemory());
    const id = await committed(store, bytesOf('kept'));
    const path = join(folder, 'of-memory');
    await store.backupTo(path);
    const copy = await stores.open(path, { create: false });
    expect(copy.get(id)).toEqual(bytesOf('kept'));
  });

  it('is another file than the store: what is left of one does not pass for the other', async () => {
    const store = await inFolder('salted');
    const path = join(folder, 'salted-copy');
    await store.backupTo(path);
    const salt = (file: string): Buffer => readFileSync(file).subarray(16, 24);
    expect(salt(path)).not.toEqual(salt(store.path));
  });

  it('has no bytes of values that were archived', async () => {
    const store = await inFolder();
    const secret = bytesOf('a value that nobody is to read any more');
    for (let round = 0; round < 20; round++) {
      const session = store.session();
      const ids = Array.from({ length: 10 }, () => session.push(secret));
      for (let at = 0; at < 10; at++) session.push(bytesOf(`kept ${round} ${at}`));
      await session.commit();
      const archiving = store.session();
      for (const id of ids) archiving.archive(id);
      if (round % 3 === 0) archiving.checkpointTo(store.currentBatch);
      await archiving.commit();
    }
    const path = join(folder, 'without-secrets');
    await store.backupTo(path);
    expect(readFileSync(store.path).indexOf(secret)).toBeGreaterThan(0);
    const bytes = readFileSync(path);
    expect(bytes.indexOf(secret)).toBe(-1);
    expect(bytes.indexOf(bytesOf('kept 7 7'))).toBeGreaterThan(0);
  });

  it('reports progress, first of all before it begins', async () => {
    const store = await inFolder();
    const reports: Progress[] = [];
    await store.backupTo(join(folder, 'watched'), { onProgress: (one) => reports.push(one) });
    const first = { phase: 'marks', done: 0, total: undefined, unit: 'bytes' };
    expect(reports[0]).toEqual(first);
  });

  it('does not hold commits back for longer than a step', async () => {
    const store = await inFolder();
    const backup = store.backupTo(join(folder, 'beside'));
    const id = await committed(store, bytesOf('meanwhile'));
    const { batch } = await backup;
    expect(batch).toBeLessThanOrEqual(store.currentBatch);
    expect(store.get(id)).toEqual(bytesOf('meanwhile'));
    expect(store.statistics().oldestGuard).toBe(undefined);
  });
});

describe('the target of a backup', () => {
  it('is refused with VARVE_EXISTS if it exists, a folder too, without overwrite', async () => {
    const store = await inFolder();
    const path = join(folder, 'there');
    writeFileSync(path, 'something else');
    const error = await check.rejects('VARVE_EXISTS', () => store.backupTo(path));
    expect(error.path).toBe(path);
    expect(readFileSync(path, 'utf8')).toBe('something else');
    mkdirSync(join(folder, 'folder'));
    await check.rejects('VARVE_EXISTS', () => store.backupTo(join(folder, 'folder')));
  });

  it('is replaced with overwrite', async () => {
    const store = await inFolder();
    const path = join(folder, 'replaced');
    writeFileSync(path, 'something else');
    await store.backupTo(path, { overwrite: true });
    const id = await committed(store, bytesOf('more'));
    await store.backupTo(path, { overwrite: true });
    const copy = await stores.open(path, { create: false });
    expect(copy.get(id)).toEqual(bytesOf('more'));
    expect(existsSync(`${path}.partial`)).toBe(false);
  });

  it('is refused with VARVE_LOCKED while a writer has it, and replaced beside a reader', async () => {
    const store = await inFolder();
    const path = join(folder, 'used');
    const first = await store.backupTo(path);
    const writer = await stores.open(path);
    await check.rejects('VARVE_LOCKED', () => store.backupTo(path, { overwrite: true }));
    await committed(writer, bytesOf('goes on'));
    await writer.close();
    const reader = await stores.open(path, { readOnly: true });
    await committed(store, bytesOf('more'));
    const second = await store.backupTo(path, { overwrite: true });
    expect(second.batch).toBe(first.batch + 1);
    expect(reader.currentBatch).toBe(first.batch + 1);
    await reader.close();
  });

  it('is refused with VARVE_LOCKED while another backup goes to it', async () => {
    const store = await inFolder();
    const path = join(folder, 'twice');
    const outcomes = await Promise.allSettled([store.backupTo(path), store.backupTo(path)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const refused = outcomes.find(({ status }) => status === 'rejected');
    expect(refused).toMatchObject({ reason: { code: 'VARVE_LOCKED' } });
    expect(existsSync(`${path}.partial`)).toBe(false);
    await (await stores.open(path, { create: false })).close();
  });

  it('cannot be opened for writing before it is complete', async () => {
    const store = await inFolder();
    const path = join(folder, 'early');
    await store.backupTo(path);
    let opening: Promise<Store> | undefined;
    const onProgress = (): void => {
      opening ??= new Promise((resolve) => setImmediate(resolve)).then(() => Store.open(path));
      opening.catch(() => undefined);
    };
    for (let at = 0; at < 50; at++) await store.put(new Uint8Array(200_000));
    await store.backupTo(path, { overwrite: true, onProgress });
    await check.rejects('VARVE_LOCKED', () => opening as Promise<Store>);
  });

  it('is refused with VARVE_INVALID_ARGUMENT if it is the store, by any path', async () => {
    const store = await inFolder('itself');
    const [link, hard] = [join(folder, 'link'), join(folder, 'hard')];
    symlinkSync(store.path, link);
    linkSync(store.path, hard);
    const dotted = `${folder}/./itself`;
    for (const path of [store.path, link, hard, dotted, relative('.', store.path)]) {
      for (const overwrite of [true, false]) {
        const error = await check.rejects('VARVE_INVALID_ARGUMENT', () =>
          store.backupTo(path, { overwrite }),
        );
        expect(error.message).toContain("another file than the store's own");
      }
    }
    const reader = await stores.open(link, { readOnly: true });
    await check.rejects('VARVE_INVALID_ARGUMENT', () => reader.backupTo(store.path));
  });

  it('is refused if the store is what it would be called until it is complete', async () => {
    const store = await inFolder('x.partial');
    await check.rejects('VARVE_INVALID_ARGUMENT', () => store.backupTo(join(folder, 'x')));
    await store.close();
    const reader = await stores.open(store.path, { readOnly: true });
    await check.rejects('VARVE_INVALID_ARGUMENT', () => reader.backupTo(join(folder, 'x')));
  });

  it('does not harm a complete copy whose second name a power cut has left', async () => {
    const store = await inFolder();
    const path = join(folder, 'linked');
    await store.backupTo(path);
    const before = readFileSync(path);
    linkSync(path, `${path}.partial`);
    await check.rejects('VARVE_EXISTS', () => store.backupTo(path));
    const controller = new AbortController();
    const options = { signal: controller.signal, overwrite: true };
    const onProgress = (): void => controller.abort(new Error('stopped'));
    await expect(store.backupTo(path, { ...options, onProgress })).rejects.toThrow('stopped');
    expect(readFileSync(path)).toEqual(before);
    await store.backupTo(path, { overwrite: true });
    await (await stores.open(path, { create: false })).close();
  });

  it('needs a file system with rename', async () => {
    const store = await inFolder();
    const { open } = memoryFileSystem();
    const fileSystem: FileSystem = { open };
    await check.rejects('VARVE_INVALID_ARGUMENT', () => store.backupTo('copy', { fileSystem }));
  });

  it('needs no remove: what is left is empty, and taken by the next backup', async () => {
    const store = await inFolder();
    const { open, rename } = memoryFileSystem();
    const fileSystem = { open, rename } as FileSystem;
    const controller = new AbortController();
    const onProgress = (): void => {
      setImmediate(() => controller.abort(new Error('stopped')));
    };
    const { signal } = controller;
    for (let at = 0; at < 50; at++) await store.put(new Uint8Array(100_000));
    const options: BackupOptions = { fileSystem, signal, onProgress, bytesPerSecond: 1000 };
    await expect(store.backupTo('copy', options)).rejects.toThrow('stopped');
    const left = await open('copy.partial', { create: false, exclusive: false, readOnly: true });
    expect(left.length()).toBe(0);
    await store.backupTo('copy', { fileSystem });
    await (await stores.open('copy', { create: false, fileSystem })).close();
  });
});

describe('the options of a backup', () => {
  it.each([
    ['', {}],
    [5, {}],
    ['copy', { overWrite: true }],
    ['copy', { overwrite: 1 }],
    ['copy', { fileSystem: {} }],
    ['copy', { bytesPerSecond: 0 }],
    ['copy', { onProgress: 1 }],
    ['copy', { signal: 1 }],
    ['copy', null],
  ])('are refused with VARVE_INVALID_ARGUMENT: %j, %j', async (path, options) => {
    const store = await inFolder();
    await check.rejects('VARVE_INVALID_ARGUMENT', () =>
      store.backupTo(path as string, options as BackupOptions),
    );
  });
});

describe('a backup of a forest', () => {
  it('has the trees of the last commit, also those whose changes are only logged', async () => {
    const forest = await Forest.open(join(folder, 'forest'));
    const config = { key: codecs.utf8, value: codecs.utf8 };
    const tree = forest.tree('tree', config);
    const versioned = forest.tree('versioned', { ...config, versioned: true });
    for (let at = 0; at < 300; at++) {
      await forest.transaction((tx) => {
        tx.tree(tree).put(`key ${at % 200}`, `value ${at}`);
        tx.tree(versioned).put(`key ${at % 50}`, 'x'.repeat(at));
        if (at % 3 === 0) tx.tree(tree).delete(`key ${(at * 7) % 200}`);
        if (at === 250) tx.fork('tree', 'fork');
      });
    }
    const held = forest.snapshot();
    const expected = [...tree.range()];
    const path = join(folder, 'forest-copy');
    const backup = forest.backupTo(path);
    await tree.put('key after', 'value');
    const { batch } = await backup;
    held.release();
    const copy = await Forest.open(path, { create: false });
    expect(copy.store.currentBatch).toBe(batch);
    const found = [...copy.tree('tree', config).range()];
    const after = [...expected, ['key after', 'value'] as [string, string]];
    expect([expected, after.sort()]).toContainEqual(found);
    expect(copy.names().sort()).toEqual(['fork', 'tree', 'versioned']);
    expect(await listOf(copy.verify({ deep: true }))).toEqual([]);
    await copy.tree('tree', config).put('more', 'value');
    await copy.close();
    await forest.close();
    await check.rejects('VARVE_CLOSED', () => forest.backupTo(path));
  });
});
