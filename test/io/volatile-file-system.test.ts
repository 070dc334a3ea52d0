/**
 * The warning about a store on a file system that lives in memory: once in a process, for writers
 * only. What `statfs` says is made up in most tests, so that every kind can be had on every Linux
 * machine; the last one goes by what is really there.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FileSystem } from '../../src/io/file-system.ts';
import { reading, writing } from '../support/file-system-suite.ts';
import {
  isTmpfs,
  makeTemporaryFolder,
  removeTemporaryFolder,
} from '../support/temporary-folder.ts';

const tmpfs = 0x01021994n;
const ramfs = 0x858458f6n;
const ext4 = 0xef53n;
const { platform } = process;

let folder: string;
let warnings: { message: string; code: unknown }[];

beforeEach(() => {
  folder = makeTemporaryFolder();
  warnings = [];
  vi.spyOn(process, 'emitWarning').mockImplementation(((message: string, options: unknown) => {
    warnings.push({ message, code: (options as { code?: unknown }).code });
  }) as typeof process.emitWarning);
});
afterEach(() => {
  Object.defineProperty(process, 'platform', { value: platform });
  vi.restoreAllMocks();
  removeTemporaryFolder(folder);
});

/** The file system of a process that has not warned yet. */
async function freshFileSystem(): Promise<FileSystem> {
  vi.resetModules();
  const { nodeFileSystem } = await import('../../src/io/node.ts');
  return nodeFileSystem;
}

function setFileSystemType(type: bigint): void {
  Object.defineProperty(process, 'platform', { value: 'linux' });
  vi.spyOn(fs, 'statfsSync').mockReturnValue({ type } as never);
}

async function openAndClose(fileSystem: FileSystem, name: string): Promise<void> {
  const file = await fileSystem.open(join(folder, name), writing);
  await file.close();
}

describe('opening a store on a file system in memory', () => {
  it('warns with the code, the path and the kind, and works', async () => {
    setFileSystemType(tmpfs);
    await openAndClose(await freshFileSystem(), 'store');
    expect(warnings).toEqual([
      {
        code: 'VARVE_VOLATILE_FILE_SYSTEM',
        message: expect.stringMatching(/".*store".*tmpfs/),
      },
    ]);
  });

  it('warns once in a process, however many stores and openings there are', async () => {
    setFileSystemType(tmpfs);
    const fileSystem = await freshFileSystem();
    await Promise.all(['a', 'b', 'c'].map((name) => openAndClose(fileSystem, name)));
    await openAndClose(fileSystem, 'a');
    expect(warnings).toHaveLength(1);
  });

  it('warns of ramfs too, whose number 32-bit systems report as a negative one', async () => {
    for (const type of [
      ramfs,
      BigInt.asIntN(32, ramfs),
      BigInt.asUintN(64, BigInt.asIntN(32, ramfs)),
    ]) {
      setFileSystemType(type);
      await openAndClose(await freshFileSystem(), 'store');
    }
    expect(warnings).toHaveLength(3);
    expect(warnings[0]?.message).toContain('ramfs');
  });

  it('does not warn readers, nor of other file systems, nor on other platforms', async () => {
    setFileSystemType(ext4);
    const fileSystem = await freshFileSystem();
    await openAndClose(fileSystem, 'store');
    setFileSystemType(tmpfs);
    const reader = await fileSystem.open(join(folder, 'store'), reading);
    await reader.close();
    Object.defineProperty(process, 'platform', { value: 'freebsd' });
    await openAndClose(fileSystem, 'store');
    expect(warnings).toEqual([]);
  });

  it('warns exactly if the system says tmpfs', async () => {
    const parent = fs.existsSync('/dev/shm') ? '/dev/shm' : folder;
    const real = fs.mkdtempSync(join(parent, 'varve-test-'));
    const fileSystem = await freshFileSystem();
    const file = await fileSystem.open(join(real, 'store'), writing);
    await file.close();
    fs.rmSync(real, { recursive: true });
    expect(warnings).toHaveLength(isTmpfs(parent) ? 1 : 0);
  });
});
