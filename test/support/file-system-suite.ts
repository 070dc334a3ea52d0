/**
 * What every `FileSystem` must do, as one suite that each backend's test file runs.
 *
 * Invariant: it uses nothing but the contract in `src/io/file-system.ts`, so that a store cannot
 * tell one backend from another. What only one of them has (folders, processes) is tested beside
 * it.
 */

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../src/io/file-system.ts';
import { expectSameBytes, patternOf } from './bytes.ts';
import { contentOf, describeFileContents } from './file-contents-suite.ts';
import { checkAgainstModel, fileCommands } from './file-system-model.ts';

export interface FileSystemUnderTest {
  readonly fileSystem: FileSystem;
  /** A path at which there is nothing yet, the same for the same name. */
  path(name: string): string;
  cleanup(): Promise<void>;
}

export const writing: OpenFileOptions = { create: true, exclusive: false, readOnly: false };
export const reading: OpenFileOptions = { create: false, exclusive: false, readOnly: true };

export function fileSystemSuite(name: string, make: () => Promise<FileSystemUnderTest>): void {
  describe(`${name} as a file system`, () => {
    let tested: FileSystemUnderTest;
    const opened: StorageFile[] = [];

    async function open(fileName: string, options: Partial<OpenFileOptions> = {}) {
      const file = await tested.fileSystem.open(tested.path(fileName), { ...writing, ...options });
      opened.push(file);
      return file;
    }

    beforeEach(async () => {
      tested = await make();
    });
    afterEach(async () => {
      for (const file of opened.splice(0)) await file.close();
      await tested.cleanup();
    });

    describeOpening(open, () => tested);
    describeLocking(open, () => tested);
    describeFileContents(open);
    describeClosing(open);
    describeNames(open, () => tested);

    it('behaves as one array of bytes through any sequence of operations', async () => {
      let runCount = 0;
      await fc.assert(
        fc.asyncProperty(fileCommands, async (commands) => {
          runCount += 1;
          const fileName = `model-${runCount}`;
          await checkAgainstModel(commands, () => open(fileName));
        }),
        { numRuns: 60 },
      );
    });
  });
}

type Open = (name: string, options?: Partial<OpenFileOptions>) => Promise<StorageFile>;

function describeOpening(open: Open, tested: () => FileSystemUnderTest): void {
  describe('opening', () => {
    it('creates an empty file if there is none', async () => {
      const file = await open('new');
      expect(file.length()).toBe(0);
    });

    it('refuses a missing file with ENOENT without create, and creates none', async () => {
      const path = tested().path('missing');
      await expect(open('missing', { create: false })).rejects.toMatchObject({
        code: 'ENOENT',
        path,
      });
      await expect(open('missing', { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('refuses a missing file to a reader with ENOENT, even with create', async () => {
      await expect(open('missing', { readOnly: true })).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(open('missing', { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('makes a new file with exclusive, and refuses one that exists with EEXIST', async () => {
      const file = await open('once', { exclusive: true });
      await expect(open('once', { exclusive: true })).rejects.toMatchObject({ code: 'EEXIST' });
      await file.close();
      await expect(open('once', { exclusive: true })).rejects.toMatchObject({ code: 'EEXIST' });
      await expect(open('once', { exclusive: true, readOnly: true })).rejects.toMatchObject({
        code: 'EEXIST',
      });
    });

    it('finds the bytes of a file that was closed, and changes none of them', async () => {
      const bytes = patternOf(100_000);
      const first = await open('kept');
      first.writeSync([bytes], 0);
      await first.close();
      const second = await open('kept');
      expectSameBytes(contentOf(second), bytes);
    });

    it('keeps files of different paths apart', async () => {
      const a = await open('a');
      const b = await open('b');
      a.writeSync([patternOf(10, 1)], 0);
      b.writeSync([patternOf(20, 2)], 0);
      expectSameBytes(contentOf(a), patternOf(10, 1));
      expectSameBytes(contentOf(b), patternOf(20, 2));
    });
  });
}

function describeLocking(open: Open, tested: () => FileSystemUnderTest): void {
  describe('locking', () => {
    it('refuses a second writer with VARVE_LOCKED and the path, again and again', async () => {
      const file = await open('busy');
      const refusal = { name: 'VarveError', code: 'VARVE_LOCKED', path: tested().path('busy') };
      await expect(open('busy')).rejects.toMatchObject(refusal);
      await expect(open('busy', { create: false })).rejects.toMatchObject(refusal);
      file.writeSync([patternOf(3)], 0);
      expectSameBytes(contentOf(file), patternOf(3));
    });

    it('gives the lock to the next writer once the file is closed', async () => {
      const first = await open('passed on');
      await first.close();
      const second = await open('passed on');
      await expect(open('passed on')).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
      await second.close();
      await open('passed on');
    });

    it('lets exactly one of many that open at once write', async () => {
      const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => open('race')));
      const outcomes = attempts.map((attempt) =>
        attempt.status === 'fulfilled' ? 'opened' : attempt.reason.code,
      );
      expect(outcomes.sort()).toEqual([...Array(7).fill('VARVE_LOCKED'), 'opened']);
    });

    it('lets readers open it beside a writer, and they see its writes', async () => {
      const writer = await open('shared');
      const reader = await open('shared', reading);
      const other = await open('shared', reading);
      writer.writeSync([patternOf(5000)], 0);
      expectSameBytes(contentOf(reader), patternOf(5000));
      expectSameBytes(contentOf(other), patternOf(5000));
    });

    it('keeps the lock of the writer when a reader closes; a reader needs no lock', async () => {
      const writer = await open('shared');
      const reader = await open('shared', reading);
      await reader.close();
      await expect(open('shared')).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
      await writer.close();
      await open('shared', reading);
      await open('shared');
    });

    it('refuses every change through a reader with EBADF', async () => {
      const writer = await open('guarded');
      writer.writeSync([patternOf(8192)], 0);
      const reader = await open('guarded', reading);
      const refusal = expect.objectContaining({ code: 'EBADF' });
      expect(() => reader.writeSync([patternOf(1)], 0)).toThrow(refusal);
      expect(() => reader.truncateSync(1)).toThrow(refusal);
      await expect(reader.write([patternOf(1)], 0)).rejects.toThrow(refusal);
      await expect(reader.truncate(1)).rejects.toThrow(refusal);
      await expect(reader.trim?.(0, 4096) ?? Promise.reject(badFile())).rejects.toThrow(refusal);
      expectSameBytes(contentOf(writer), patternOf(8192));
    });
  });
}

/** Stands in for the refusal of a method that the file does not have. */
function badFile(): Error {
  return Object.assign(new Error('no trim'), { code: 'EBADF' });
}

function describeClosing(open: Open): void {
  describe('closing', () => {
    it('fails every later use with EBADF', async () => {
      const file = await open('closed');
      file.writeSync([patternOf(10)], 0);
      await file.close();
      const refusal = expect.objectContaining({ code: 'EBADF' });
      expect(() => file.length()).toThrow(refusal);
      expect(() => file.readSync(new Uint8Array(1), 0)).toThrow(refusal);
      expect(() => file.writeSync([patternOf(1)], 0)).toThrow(refusal);
      expect(() => file.truncateSync(0)).toThrow(refusal);
      expect(() => file.datasyncSync()).toThrow(refusal);
      await expect(file.read(new Uint8Array(1), 0)).rejects.toThrow(refusal);
      await expect(file.write([patternOf(1)], 0)).rejects.toThrow(refusal);
      await expect(file.truncate(0)).rejects.toThrow(refusal);
      await expect(file.datasync()).rejects.toThrow(refusal);
      await expect(file.trim?.(0, 4096) ?? Promise.reject(badFile())).rejects.toThrow(refusal);
      expectSameBytes(contentOf(await open('closed')), patternOf(10));
    });

    it('refuses use from the moment that it begins', async () => {
      const file = await open('closing');
      const closed = file.close();
      expect(() => file.length()).toThrow(expect.objectContaining({ code: 'EBADF' }));
      await closed;
    });

    it('can be done twice, and the second leaves the next writer alone', async () => {
      const file = await open('twice');
      await Promise.all([file.close(), file.close()]);
      const next = await open('twice');
      await file.close();
      await expect(open('twice')).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
      next.writeSync([patternOf(4)], 0);
      expectSameBytes(contentOf(next), patternOf(4));
    });

    it('lets operations in flight finish first', async () => {
      const file = await open('under way');
      const bytes = patternOf(4_000_000);
      const target = new Uint8Array(10);
      file.writeSync([patternOf(10, 9)], 5_000_000);
      const calls = [
        file.write([bytes], 0),
        file.read(target, 5_000_000),
        file.datasync(),
        file.close(),
      ];
      await Promise.all(calls);
      expectSameBytes(target, patternOf(10, 9));
      const again = await open('under way');
      expectSameBytes(contentOf(again).subarray(0, bytes.length), bytes);
    });
  });
}

/** Of a file system that has these calls: a backup needs them. */
function describeNames(open: Open, tested: () => FileSystemUnderTest): void {
  const rename = async (from: string, to: string, overwrite: boolean): Promise<void> => {
    const { fileSystem, path } = tested();
    await fileSystem.rename?.(path(from), path(to), { overwrite });
  };
  const isSame = async (one: string, other: string): Promise<boolean | undefined> => {
    const { fileSystem, path } = tested();
    return await fileSystem.isSame?.(path(one), path(other));
  };

  describe('names', () => {
    it('gives a file another name, also while it is open and locked', async ({ skip }) => {
      if (tested().fileSystem.rename === undefined) skip();
      const file = await open('from');
      file.writeSync([patternOf(10)], 0);
      await rename('from', 'to', false);
      await expect(open('from', { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(open('to')).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
      await file.close();
      expectSameBytes(contentOf(await open('to', { create: false })), patternOf(10));
    });

    it('replaces a file only with overwrite; otherwise EEXIST, and both stay', async ({ skip }) => {
      if (tested().fileSystem.rename === undefined) skip();
      const [one, other] = [await open('one'), await open('other')];
      one.writeSync([patternOf(10, 1)], 0);
      other.writeSync([patternOf(20, 2)], 0);
      await expect(rename('one', 'other', false)).rejects.toMatchObject({ code: 'EEXIST' });
      expectSameBytes(contentOf(await open('other', reading)), patternOf(20, 2));
      expectSameBytes(contentOf(await open('one', reading)), patternOf(10, 1));
      await rename('one', 'other', true);
      expectSameBytes(contentOf(await open('other', reading)), patternOf(10, 1));
      await expect(open('one', { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
      expectSameBytes(contentOf(other), patternOf(20, 2));
    });

    it('refuses to rename or remove what is not there with ENOENT', async ({ skip }) => {
      const { fileSystem, path } = tested();
      if (fileSystem.rename === undefined || fileSystem.remove === undefined) skip();
      await expect(rename('missing', 'to', false)).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(rename('missing', 'to', true)).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(fileSystem.remove?.(path('missing'))).rejects.toMatchObject({ code: 'ENOENT' });
    });

    it('removes a file; the one that is open goes on, and a new one is another', async ({
      skip,
    }) => {
      const { fileSystem, path } = tested();
      if (fileSystem.remove === undefined) skip();
      const file = await open('gone');
      file.writeSync([patternOf(10)], 0);
      await fileSystem.remove?.(path('gone'));
      const next = await open('gone');
      expect(next.length()).toBe(0);
      expectSameBytes(contentOf(file), patternOf(10));
    });

    it('knows whether two paths lead to the same file', async ({ skip }) => {
      if (tested().fileSystem.isSame === undefined) skip();
      await open('one');
      await open('other');
      expect(await isSame('one', 'one')).toBe(true);
      expect(await isSame('one', 'other')).toBe(false);
      expect(await isSame('one', 'missing')).toBe(false);
      expect(await isSame('missing', 'missing')).toBe(false);
    });
  });
}
