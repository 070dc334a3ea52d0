/**
 * Opening files on disk: the contract that every backend is held against, and what only this one
 * has, that is folders and their durability, links, things that are not files, files replaced while
 * they are opened, and that an open which fails leaves no descriptor and no lock.
 */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OpenFileOptions, StorageFile } from '../../src/io/file-system.ts';
import { nodeFileSystem } from '../../src/io/node.ts';
import { Store } from '../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { contentOf } from '../support/file-contents-suite.ts';
import { fileSystemSuite, reading, writing } from '../support/file-system-suite.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

/** What a test does to the file when it has been opened and its lock has not been taken yet. */
const interference = vi.hoisted(() => ({ beforeLock: () => {} }));
vi.mock('../../src/io/node-lock.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/io/node-lock.ts')>();
  const acquireLock: typeof original.acquireLock = (target, addon) => {
    interference.beforeLock();
    return original.acquireLock(target, addon);
  };
  return { ...original, acquireLock };
});

fileSystemSuite('node', async () => {
  const folder = makeTemporaryFolder();
  return {
    fileSystem: nodeFileSystem,
    path: (name) => join(folder, name),
    cleanup: async () => removeTemporaryFolder(folder),
  };
});

let folder: string;
const opened: StorageFile[] = [];

async function open(path: string, options: Partial<OpenFileOptions> = {}): Promise<StorageFile> {
  const file = await nodeFileSystem.open(path, { ...writing, ...options });
  opened.push(file);
  return file;
}

beforeEach(() => {
  folder = makeTemporaryFolder();
});
afterEach(async () => {
  interference.beforeLock = () => {};
  vi.restoreAllMocks();
  for (const file of opened.splice(0)) await file.close();
  removeTemporaryFolder(folder);
});

describe('opening something that is not a file', () => {
  it('refuses a folder with EISDIR, and with EEXIST if it must not exist', async () => {
    const names = fs.readdirSync(folder);
    await expect(open(folder)).rejects.toMatchObject({ code: 'EISDIR', path: folder });
    await expect(open(folder, { create: false })).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(open(folder, reading)).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(open(folder, { exclusive: true })).rejects.toMatchObject({ code: 'EEXIST' });
    expect(fs.readdirSync(folder)).toEqual(names);
  });

  it('refuses a pipe at once instead of waiting for its other end', async () => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const refusal = { name: 'VarveError', code: 'VARVE_NOT_A_STORE', path };
    await expect(open(path)).rejects.toMatchObject(refusal);
    await expect(open(path, reading)).rejects.toMatchObject(refusal);
  });

  it('refuses with EEXIST a file that another process makes just before this one', async () => {
    const path = join(folder, 'store');
    fs.writeFileSync(path, 'bytes');
    vi.spyOn(fs, 'statSync').mockImplementationOnce(() => {
      throw codeError('ENOENT');
    });
    await expect(open(path, { exclusive: true })).rejects.toMatchObject({ code: 'EEXIST' });
    expect(fs.readFileSync(path, 'utf8')).toBe('bytes');
  });

  it('refuses a path through a file with ENOTDIR', async () => {
    fs.writeFileSync(join(folder, 'file'), 'bytes');
    const path = join(folder, 'file', 'store');
    await expect(open(path)).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(fs.readFileSync(join(folder, 'file'), 'utf8')).toBe('bytes');
  });

  it('refuses with ENOTDIR if a file has the name of the folder', async () => {
    const path = join(folder, 'taken', 'store');
    vi.spyOn(fs.promises, 'mkdir').mockRejectedValue(codeError('EEXIST'));
    await expect(open(path)).rejects.toMatchObject({ code: 'ENOTDIR' });
  });
});

describe('opening in a folder', () => {
  it('creates missing folders with create, and none without it', async () => {
    const path = join(folder, 'a', 'b', 'c', 'store');
    await expect(open(path, { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(open(path, { readOnly: true })).rejects.toMatchObject({ code: 'ENOENT' });
    expect(fs.readdirSync(folder)).toEqual([]);
    const file = await open(path);
    file.writeSync([patternOf(4)], 0);
    expectSameBytes(new Uint8Array(fs.readFileSync(path)), patternOf(4));
  });

  it('takes a folder that another process makes just before it', async () => {
    const made = fs.promises.mkdir;
    vi.spyOn(fs.promises, 'mkdir').mockImplementation((async (path: string) => {
      await made(path);
      throw codeError('EEXIST');
    }) as never);
    const file = await open(join(folder, 'a', 'b', 'store'));
    expect(file.length()).toBe(0);
  });

  it('refuses with EROFS to create a file on a read-only file system', async () => {
    mockReadOnly();
    const path = join(folder, 'a', 'b', 'c', 'store');
    await expect(open(path)).rejects.toMatchObject({ code: 'EROFS', path: join(folder, 'a') });
    const error = await Store.open(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'VARVE_IO', path, cause: { code: 'EROFS' } });
    await expect(open(path, { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('gives VARVE_IO if the system says ENOENT to a caller that wants to create the file', async () => {
    fs.symlinkSync(join(folder, 'gone', 'store'), join(folder, 'link'));
    const paths = [join(folder, 'link')];
    // Nothing can be made in /proc, and Node's own recursive mkdir never returns from there.
    if (process.platform === 'linux') paths.push('/proc/varve-test/a/store', '/proc/varve-test');
    for (const path of paths) {
      const refusal = { code: 'VARVE_IO', path, cause: { code: 'ENOENT' } };
      await expect(open(path)).rejects.toMatchObject(refusal);
      await expect(Store.open(path)).rejects.toMatchObject(refusal);
      await expect(open(path, { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });

  it('opens if the kind of the file system is unknown', async () => {
    vi.spyOn(fs, 'statfsSync').mockImplementation(() => {
      throw codeError('EACCES');
    });
    const file = await open(join(folder, 'store'));
    expect(file.length()).toBe(0);
  });

  it('syncs the folder of a new file, new folders, and the one that holds the first', async () => {
    const synced = await watchSyncs();
    await open(join(folder, 'a', 'b', 'store'));
    expect(synced()).toEqual(
      expect.arrayContaining([folder, join(folder, 'a'), join(folder, 'a', 'b')].map(inodeOf)),
    );
  });

  it('has the entry of the file in its folder before it syncs that', async () => {
    const path = join(folder, 'store');
    const seen: boolean[] = [];
    await watchSyncs(() => seen.push(fs.existsSync(path)));
    await open(path);
    expect(seen).not.toContain(false);
    expect(seen).toContain(true);
  });

  it('syncs them also for an empty file that a killed process may have left', async () => {
    fs.mkdirSync(join(folder, 'a'));
    fs.writeFileSync(join(folder, 'a', 'store'), '');
    const synced = await watchSyncs();
    await open(join(folder, 'a', 'store'), { create: false });
    expect(synced()).toEqual(expect.arrayContaining([folder, join(folder, 'a')].map(inodeOf)));
  });

  it('syncs no folder for a file with content, nor for a reader', async () => {
    fs.writeFileSync(join(folder, 'full'), 'bytes');
    fs.writeFileSync(join(folder, 'empty'), '');
    const synced = await watchSyncs();
    await open(join(folder, 'full'));
    await open(join(folder, 'empty'), reading);
    expect(synced()).toEqual([]);
  });

  it('fails if its folder cannot be synced, and leaves nothing open or locked', async () => {
    const path = join(folder, 'store');
    await open(join(folder, 'loads what is loaded once'));
    const before = openDescriptors();
    await watchSyncs(() => {
      throw codeError('EIO');
    });
    await expect(open(path)).rejects.toMatchObject({ code: 'EIO' });
    expect(openDescriptors()).toBe(before);
    vi.restoreAllMocks();
    await open(path);
  });

  it('continues if the file system cannot sync folders', async () => {
    await watchSyncs(() => {
      throw codeError('EINVAL');
    });
    await open(join(folder, 'store'));
  });

  it('follows a symbolic link to a file yet to be made, and syncs its folder', async () => {
    fs.mkdirSync(join(folder, 'elsewhere'));
    fs.symlinkSync(join(folder, 'elsewhere', 'store'), join(folder, 'link'));
    const synced = await watchSyncs();
    const file = await open(join(folder, 'link'));
    file.writeSync([patternOf(4)], 0);
    const bytes = new Uint8Array(fs.readFileSync(join(folder, 'elsewhere', 'store')));
    expectSameBytes(bytes, patternOf(4));
    expect(synced()).toContain(inodeOf(join(folder, 'elsewhere')));
  });

  it('takes one lock for every path to the file', async () => {
    const path = join(folder, 'store');
    await open(path);
    fs.linkSync(path, join(folder, 'linked'));
    fs.symlinkSync(path, join(folder, 'symlinked'));
    for (const other of [join(folder, 'linked'), join(folder, 'symlinked')]) {
      await expect(open(other)).rejects.toMatchObject({ code: 'VARVE_LOCKED', path: other });
    }
  });

  it('changes neither the bytes nor the times of a file that it opens or refuses', async () => {
    const path = join(folder, 'store');
    fs.writeFileSync(path, 'bytes');
    fs.utimesSync(path, 1, 2);
    await open(path);
    await expect(open(path)).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
    await expect(open(path, { exclusive: true })).rejects.toMatchObject({ code: 'EEXIST' });
    expect(fs.readFileSync(path, 'utf8')).toBe('bytes');
    expect(fs.statSync(path).mtimeMs).toBe(2000);
  });

  it('leaves no descriptor open when it is refused', async () => {
    const path = join(folder, 'store');
    await open(path);
    const before = openDescriptors();
    for (const options of [writing, { ...writing, exclusive: true }]) {
      await expect(open(path, options)).rejects.toThrow();
    }
    await expect(open(join(folder, 'missing'), reading)).rejects.toThrow();
    expect(openDescriptors()).toBe(before);
  });
});

describe('a file that is replaced while it is opened', () => {
  it('is opened again, and the lock is that of the file that has the path now', async () => {
    const path = join(folder, 'store');
    fs.writeFileSync(path, 'old');
    const before = openDescriptors();
    beforeLock(() => {
      fs.writeFileSync(join(folder, 'new'), 'newer');
      fs.renameSync(join(folder, 'new'), path);
    });
    const file = await open(path);
    expect(Buffer.from(contentOf(file)).toString()).toBe('newer');
    await expect(open(path)).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
    await file.close();
    expect(openDescriptors()).toBe(before);
  });

  it('is created again if it was removed, or refused with ENOENT without create', async () => {
    const path = join(folder, 'store');
    fs.writeFileSync(path, 'old');
    beforeLock(() => fs.rmSync(path));
    await expect(open(path, { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
    fs.writeFileSync(path, 'old');
    beforeLock(() => fs.rmSync(path));
    const file = await open(path);
    expect(file.length()).toBe(0);
    expect(fs.existsSync(path)).toBe(true);
  });

  it('is refused with ESTALE if the replacing never ends', async () => {
    const path = join(folder, 'store');
    const before = openDescriptors();
    interference.beforeLock = () => fs.rmSync(path);
    await expect(open(path)).rejects.toMatchObject({ code: 'ESTALE', path });
    expect(openDescriptors()).toBe(before);
  });
});

/** Interferes with the next lock only. */
function beforeLock(interfere: () => void): void {
  interference.beforeLock = () => {
    interference.beforeLock = () => {};
    interfere();
  };
}

function codeError(code: string): Error {
  return Object.assign(new Error(`${code}: made for the test`), { code });
}

/** As Linux has it: a folder in one that is missing is ENOENT first, and a recursive mkdir too. */
function mockReadOnly(): void {
  vi.spyOn(fs.promises, 'mkdir').mockImplementation((async (path: string, options?: object) => {
    const hasParent = fs.existsSync(dirname(path)) && options === undefined;
    const error = codeError(hasParent ? 'EROFS' : 'ENOENT');
    throw Object.assign(error, { path });
  }) as never);
}

function inodeOf(path: string): number {
  return fs.statSync(path).ino;
}

function openDescriptors(): number {
  return fs.readdirSync('/dev/fd').length;
}

/** The inodes of what is synced through a file handle, which folders are. */
async function watchSyncs(onSync: () => void = () => {}): Promise<() => number[]> {
  const inodes: number[] = [];
  const handle = await fs.promises.open(dirname(folder), 'r');
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const sync = prototype.sync;
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
    inodes.push((await this.stat()).ino);
    onSync();
    return sync.call(this);
  } as () => Promise<void>);
  return () => inodes;
}
