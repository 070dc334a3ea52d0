/**
 * Backups that fail: at every call of the file systems, by the signal at every piece, by the caller's
 * `onProgress`, by closing, and by damage in the source. The final name never leads to anything but a
 * complete copy or what it led to before, and the source goes on.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { memoryFileSystem, type Progress, Store } from '../../../src/index.ts';
import type { FileOperation } from '../../support/disks/wrapped-file-system.ts';
import { BackupGround, copyPath, partialPath } from './backup-ground.ts';

const lengths = [10, 90, 700, 5000, 90_000];

async function grown(seed = 1): Promise<BackupGround> {
  const ground = new BackupGround({ lengths, seed });
  await ground.open();
  for (let at = 0; at < 12; at++) ground.commit();
  // Marks are read from the file, and some values only from records.
  await ground.store.close();
  await ground.open();
  ground.commit();
  return ground;
}

async function exists(ground: BackupGround, path: string): Promise<boolean> {
  try {
    const options = { create: false, exclusive: false, readOnly: true };
    await (await ground.disk.inner.open(path, options)).close();
    return true;
  } catch {
    return false;
  }
}

/** Nothing of the failed backup is left, the source is sound, and the next backup works. */
async function expectAsBefore(ground: BackupGround): Promise<void> {
  expect(await exists(ground, partialPath)).toBe(false);
  expect(ground.store.statistics().oldestGuard).toBe(undefined);
  ground.commit();
  for await (const { message } of ground.store.verify({ deep: true })) throw new Error(message);
  const overwrite = await exists(ground, copyPath);
  const options = { fileSystem: ground.disk, overwrite };
  const { batch, values } = await ground.store.backupTo(copyPath, options);
  await ground.expectCopy(batch, values);
  await ground.store.close();
}

const operations: readonly FileOperation[] = [
  'open',
  'read',
  'write',
  'truncate',
  'datasync',
  'close',
  'rename',
  'remove',
];

/** The calls from now on fail at number `at`; returns how many there were. */
function failAt(ground: BackupGround, at: number, code: string): () => number {
  let count = -1;
  ground.disk.before = () => {
    count += 1;
  };
  const faults = operations.map((operation) =>
    ground.disk.fail(operation, code, { when: () => count === at, partialBytes: 100 }),
  );
  return () => {
    ground.disk.before = undefined;
    for (const fault of faults) fault.stop();
    return count + 1;
  };
}

describe('a call of a file system that fails during a backup', () => {
  it.each(['EIO', 'ENOSPC'])(
    'with %s rejects it with VARVE_IO, or does not matter',
    async (code) => {
      const first = await grown();
      const end = failAt(first, -1, code);
      await first.store.backupTo(copyPath, { fileSystem: first.disk });
      const calls = end();
      await first.store.close();
      let rejected = 0;
      for (let at = 0; at < calls; at++) {
        const ground = await grown();
        const stop = failAt(ground, at, code);
        const backup = ground.store.backupTo(copyPath, { fileSystem: ground.disk });
        const [outcome] = await Promise.allSettled([backup]);
        stop();
        if (outcome?.status === 'rejected') {
          expect(outcome.reason, `call ${at}`).toMatchObject({ code: 'VARVE_IO', cause: { code } });
          rejected += 1;
          expect(await exists(ground, copyPath), `call ${at}`).toBe(false);
        }
        await expectAsBefore(ground);
      }
      expect(calls).toBeGreaterThan(15);
      // Closing the complete copy is all that may fail.
      expect(rejected).toBe(calls - 1);
    },
  );

  it('leaves the copy that was to be replaced', async () => {
    for (const operation of ['write', 'datasync', 'rename'] as const) {
      const ground = await grown();
      const before = await ground.store.backupTo(copyPath, { fileSystem: ground.disk });
      ground.commit();
      const fault = ground.disk.fail(operation, 'EIO', {
        when: ({ path }) => path === partialPath,
      });
      const options = { fileSystem: ground.disk, overwrite: true };
      const backup = ground.store.backupTo(copyPath, options);
      await expect(backup).rejects.toMatchObject({ code: 'VARVE_IO' });
      fault.stop();
      await ground.expectCopy(before.batch, before.values);
      await expectAsBefore(ground);
    }
  });

  it('of removing the unfinished file leaves it, and the next backup removes it', async () => {
    const ground = await grown();
    const faults = [
      ground.disk.fail('write', 'ENOSPC', { when: ({ path }) => path === partialPath }),
      ground.disk.fail('remove', 'EIO'),
    ];
    const backup = ground.store.backupTo(copyPath, { fileSystem: ground.disk });
    await expect(backup).rejects.toMatchObject({ code: 'VARVE_IO', cause: { code: 'ENOSPC' } });
    expect(await exists(ground, partialPath)).toBe(true);
    for (const fault of faults) fault.stop();
    const { batch, values } = await ground.store.backupTo(copyPath, { fileSystem: ground.disk });
    await ground.expectCopy(batch, values);
    await expectAsBefore(ground);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a backup that is stopped', () => {
  it('by the signal at any call rejects with its reason', async () => {
    const reason = new Error('enough');
    for (let at = 0; ; at++) {
      const ground = await grown();
      const controller = new AbortController();
      let count = 0;
      ground.disk.before = () => {
        if (count++ === at) controller.abort(reason);
      };
      const { signal } = controller;
      const backup = ground.store.backupTo(copyPath, { fileSystem: ground.disk, signal });
      const [outcome] = await Promise.allSettled([backup]);
      ground.disk.before = undefined;
      if (outcome?.status === 'rejected') {
        expect(outcome.reason).toBe(reason);
        expect(await exists(ground, copyPath)).toBe(false);
      }
      await expectAsBefore(ground);
      if (count <= at) {
        expect(at).toBeGreaterThan(15);
        return;
      }
    }
  });

  it('by closing at any call rejects with VARVE_CLOSED, and leaves nothing behind', async () => {
    let rejected = 0;
    for (let at = 0; ; at++) {
      const ground = await grown();
      let closing: Promise<void> | undefined;
      let isDone = false;
      let count = 0;
      ground.disk.before = () => {
        if (count++ !== at) return;
        closing = ground.store.close().then(() => {
          expect(isDone).toBe(true);
        });
      };
      const backup = ground.store.backupTo(copyPath, { fileSystem: ground.disk });
      const [outcome] = await Promise.allSettled([backup]);
      isDone = true;
      ground.disk.before = undefined;
      if (closing === undefined) {
        expect(at).toBeGreaterThan(15);
        // At the end it may be too late.
        expect(at - rejected).toBeLessThan(6);
        await ground.store.close();
        return;
      }
      await closing;
      expect(await exists(ground, partialPath)).toBe(false);
      if (outcome?.status === 'rejected') {
        rejected += 1;
        expect(outcome.reason).toMatchObject({ code: 'VARVE_CLOSED' });
        expect(await exists(ground, copyPath)).toBe(false);
      }
      await ground.open();
      for await (const { message } of ground.store.verify({ deep: true })) throw new Error(message);
      await ground.store.close();
    }
  });

  it('before it begins touches nothing', async () => {
    const ground = await grown();
    const reason = new Error('before');
    const { length } = ground.disk.calls;
    const reports: Progress[] = [];
    const options = {
      fileSystem: ground.disk,
      signal: AbortSignal.abort(reason),
      onProgress: (progress: Progress) => reports.push(progress),
    };
    await expect(ground.store.backupTo(copyPath, options)).rejects.toBe(reason);
    expect(ground.disk.calls.length).toBe(length);
    expect(reports).toEqual([]);
    await expectAsBefore(ground);
  });

  it('by an onProgress that throws rejects with that error', async () => {
    for (const last of [1, 2, 3]) {
      const ground = await grown();
      let now = performance.now();
      vi.spyOn(performance, 'now').mockImplementation(() => {
        now += 101;
        return now;
      });
      const error = new Error('the caller');
      let reports = 0;
      const onProgress = (): void => {
        reports += 1;
        if (reports === last) throw error;
      };
      const options = { fileSystem: ground.disk, onProgress };
      await expect(ground.store.backupTo(copyPath, options)).rejects.toBe(error);
      vi.restoreAllMocks();
      expect(reports).toBe(last);
      await expectAsBefore(ground);
    }
  });
});

describe('damage in the source', () => {
  it('rejects with VARVE_CORRUPT and the place of the value', async () => {
    for (const length of [100, 30_000, 2_500_000]) {
      const fileSystem = memoryFileSystem();
      const store = await Store.open('source', { fileSystem, settleBytes: 1, cacheBytes: 0 });
      const session = store.session();
      const bytes = new Uint8Array(length).fill(1);
      bytes.set(marker);
      const ids = Array.from({ length: 5 }, () => session.push(bytes));
      await session.commit();
      await store.close();
      const file = await fileSystem.open('source', {
        create: false,
        exclusive: false,
        readOnly: false,
      });
      const content = new Uint8Array(file.length());
      file.readSync(content, 0);
      const places = [...placesOf(content)];
      expect(places).toHaveLength(5);
      const damaged = places[3] as number;
      file.writeSync([new Uint8Array([255])], damaged + length - 1);
      await file.close();
      const again = await Store.open('source', { fileSystem });
      const copies = memoryFileSystem();
      const error = { code: 'VARVE_CORRUPT', grainId: ids[3], offset: damaged - 8 };
      await expect(again.backupTo('copy', { fileSystem: copies })).rejects.toMatchObject(error);
      await expect(Store.open('copy', { fileSystem: copies, create: false })).rejects.toMatchObject(
        {
          code: 'VARVE_NOT_FOUND',
        },
      );
      expect(again.get(ids[2] as (typeof ids)[0])?.length).toBe(length);
      await again.close();
    }
  });
});

/** The first bytes of the values that are looked for. */
const marker = new TextEncoder().encode('the start of a value');

function* placesOf(content: Uint8Array): Generator<number> {
  const whole = Buffer.from(content.buffer);
  for (let at = whole.indexOf(marker); at >= 0; at = whole.indexOf(marker, at + 1)) yield at;
}
