/**
 * Files in memory: the contract that every backend is held against, and what only they promise:
 * paths are opaque, no two file systems share anything, and no bytes are shared with the caller.
 */

import { describe, expect, it } from 'vitest';
import { memoryFileSystem } from '../../src/io/memory-file-system.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { contentOf } from '../support/file-contents-suite.ts';
import { fileSystemSuite, writing } from '../support/file-system-suite.ts';

fileSystemSuite('memory', async () => ({
  fileSystem: memoryFileSystem(),
  path: (name) => name,
  cleanup: async () => {},
}));

describe('memoryFileSystem', () => {
  it('takes any string as a path, and tells them all apart', async () => {
    const fileSystem = memoryFileSystem();
    for (const [index, path] of [':memory:', '', 'a', 'a/', './a', 'A'].entries()) {
      const file = await fileSystem.open(path, { ...writing, exclusive: true });
      file.writeSync([patternOf(index + 1, index)], 0);
      await file.close();
    }
    const file = await fileSystem.open('./a', writing);
    expectSameBytes(contentOf(file), patternOf(5, 4));
  });

  it('shares nothing with another memory file system', async () => {
    const file = await memoryFileSystem().open('a', writing);
    file.writeSync([patternOf(1)], 0);
    const other = await memoryFileSystem().open('a', { ...writing, exclusive: true });
    expect(other.length()).toBe(0);
  });

  it('keeps its own copy of the bytes written and gives copies back', async () => {
    const file = await memoryFileSystem().open('copy', writing);
    const bytes = patternOf(100);
    file.writeSync([bytes], 0);
    bytes.fill(0);
    const first = contentOf(file);
    expectSameBytes(first, patternOf(100));
    first.fill(0);
    expectSameBytes(contentOf(file), patternOf(100));
  });
});
