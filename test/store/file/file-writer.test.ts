/**
 * Writing the file of an open store: space and read cache are told of every write, whoever performs
 * it, and of every one that failed; bytes are counted once; the file grows ahead of large writes.
 */

import { describe, expect, it } from 'vitest';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import { FileWriter } from '../../../src/store/file/file-writer.ts';
import { Space } from '../../../src/store/file/space.ts';
import { patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';

const page = 4096;
const kibibyte = 1024;

async function openWriter() {
  const fileSystem = new WrappedFileSystem(memoryFileSystem());
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await fileSystem.open('file', options);
  const space = new Space();
  space.rebuild([{ page: 0, pages: 4 }], 0);
  const seen: unknown[] = [];
  const writer = new FileWriter(new FileReader(file, 'file'), space, {
    written: (chunks, offset) => seen.push(['written', Buffer.concat(chunks).length, offset]),
    forget: (offset, length) => seen.push(['forget', offset, length]),
  });
  return { fileSystem, file, space, seen, writer };
}

describe('a write', () => {
  it.each([
    ['on the calling thread', 100],
    ['without blocking', 100],
    ['without blocking, a long one', 300 * kibibyte],
  ] as const)('%s is known to space and cache, and counted', async (how, length) => {
    const { file, space, seen, writer } = await openWriter();
    const chunks = [patternOf(length, 1), patternOf(10, 2)];
    const steps = writer.write({ offset: page, chunks });
    if (how === 'on the calling thread') writer.performSync(steps);
    else {
      const writing = writer.perform(steps);
      expect(space.frontierPage).toBe(1 + Math.ceil((length + 10) / page));
      await writing;
    }
    const there = new Uint8Array(length + 10);
    expect(file.readSync(there, page)).toBe(length + 10);
    expect(Buffer.compare(there, Buffer.concat(chunks))).toBe(0);
    expect(seen).toEqual([['written', length + 10, page]]);
    expect(space.backedPage).toBe(1 + Math.ceil((length + 10) / page));
    expect(writer.bytesWritten).toBe(length + 10);
  });

  it.each([
    ['on the calling thread', 100],
    ['without blocking', 300 * kibibyte],
  ] as const)('that fails %s is forgotten by the cache, and not counted', async (how, length) => {
    const { fileSystem, space, seen, writer } = await openWriter();
    const fault = fileSystem.fail('write', 'ENOSPC', { times: 1 });
    const steps = writer.write({ offset: page, chunks: [patternOf(length, 1)] });
    const failing =
      how === 'on the calling thread'
        ? new Promise((resolve) => resolve(writer.performSync(steps)))
        : writer.perform(steps);
    await expect(failing).rejects.toBe(fault.error);
    expect(seen).toEqual([['forget', page, length]]);
    expect([space.tight, space.backedPage, writer.bytesWritten]).toEqual([true, 0, 0]);
  });

  it('is counted apart from the syncs', async () => {
    const { fileSystem, writer } = await openWriter();
    writer.performSync(writer.sync());
    fileSystem.fail('datasync', 'EIO', { times: 1 });
    await expect(writer.perform(writer.sync())).rejects.toMatchObject({ code: 'EIO' });
    expect([writer.syncs, writer.bytesWritten]).toEqual([2, 0]);
  });
});

describe('the file grows ahead of large writes', () => {
  it('by a 32nd of its length, from 64 KiB to 16 MiB, and not where it is long enough', async () => {
    const { file, space, writer } = await openWriter();
    const lengthFor = (end: number): number => {
      writer.performSync(writer.lengthen(end));
      return file.length();
    };
    expect(lengthFor(page)).toBe(page + 64 * kibibyte);
    expect(lengthFor(page + 64 * kibibyte)).toBe(page + 64 * kibibyte);
    const mebibyte = kibibyte * kibibyte;
    expect(lengthFor(64 * mebibyte)).toBe(66 * mebibyte);
    expect(lengthFor(2048 * mebibyte)).toBe(2064 * mebibyte);
    expect(space.frontierPage).toBe((2048 * mebibyte) / page);
    expect(space.backedPage).toBe(0);
  });

  it('past the end of a write in flight: a shorter length would cut off what it writes', async () => {
    const { fileSystem, file, writer } = await openWriter();
    const held = fileSystem.hold('write');
    const long = patternOf(300 * kibibyte, 1);
    const writing = writer.perform(writer.write({ offset: 100 * page, chunks: [long] }));
    writer.performSync(writer.lengthen(2 * page));
    expect(file.length()).toBeGreaterThanOrEqual(100 * page + long.length);
    held.open();
    await writing;
    const before = file.length();
    writer.performSync(writer.lengthen(before + page));
    expect(file.length()).toBe(before + page + 64 * kibibyte);
  });

  it('or does not: the space learns that the disk is full, and no caller gets an error', async () => {
    const { fileSystem, file, space, writer } = await openWriter();
    fileSystem.fail('truncate', 'ENOSPC', { times: 1 });
    writer.performSync(writer.lengthen(page));
    expect([file.length(), space.tight]).toEqual([0, true]);
  });
});
