/**
 * The part of the file-system suite that is about bytes: reading, writing, length and trim.
 *
 * Invariant: as in `file-system-suite.ts`, nothing but the contract is used. Each synchronous
 * method and its asynchronous twin go through the same tests.
 */

import { describe, expect, it } from 'vitest';
import type { StorageFile } from '../../src/io/file-system.ts';
import { expectSameBytes, patternOf } from './bytes.ts';

/** Everything that the file holds. */
export function contentOf(file: StorageFile): Uint8Array {
  const bytes = new Uint8Array(file.length());
  expect(file.readSync(bytes, 0)).toBe(bytes.length);
  return bytes;
}

/** Opens the file of that name for writing; the suite closes it. */
type Open = (name: string) => Promise<StorageFile>;

export function describeFileContents(open: Open): void {
  describeReading(open);
  describeWriting(open);
  describeLengthAndTrim(open);
}

function describeReading(open: Open): void {
  describe('reading', () => {
    it('fills the whole target if the file has the bytes', async () => {
      const file = await open('read');
      const bytes = patternOf(300_000);
      file.writeSync([bytes], 0);
      const target = new Uint8Array(200_000);
      expect(file.readSync(target, 50_001)).toBe(200_000);
      expectSameBytes(target, bytes.subarray(50_001, 250_001));
      target.fill(0);
      expect(await file.read(target, 99_999)).toBe(200_000);
      expectSameBytes(target, bytes.subarray(99_999, 299_999));
    });

    it('comes back short only at the end, and leaves the rest of the target alone', async () => {
      const file = await open('short');
      file.writeSync([patternOf(70_000)], 0);
      for (const read of [readSync, readAsync]) {
        const target = new Uint8Array(100).fill(99);
        expect(await read(file, target, 69_990)).toBe(10);
        expectSameBytes(target.subarray(0, 10), patternOf(70_000).subarray(69_990));
        expectSameBytes(target.subarray(10), new Uint8Array(90).fill(99));
        expect(await read(file, target, 70_000)).toBe(0);
        expect(await read(file, target, 10_000_000)).toBe(0);
        expect(await read(file, new Uint8Array(0), 0)).toBe(0);
      }
    });

    it('reads into a view of a larger buffer, and nowhere else', async () => {
      const file = await open('view');
      file.writeSync([patternOf(10)], 0);
      for (const read of [readSync, readAsync]) {
        const whole = new Uint8Array(30);
        await read(file, whole.subarray(10, 20), 0);
        expectSameBytes(
          whole,
          Uint8Array.of(...Array(10).fill(0), ...patternOf(10), ...Array(10).fill(0)),
        );
      }
    });

    it('refuses an invalid position with EINVAL', async () => {
      const file = await open('position');
      file.writeSync([patternOf(10)], 0);
      const refusal = expect.objectContaining({ code: 'EINVAL' });
      for (const position of [-1, 0.5, Number.NaN, 2 ** 53]) {
        expect(() => file.readSync(new Uint8Array(1), position)).toThrow(refusal);
        expect(() => file.writeSync([patternOf(1)], position)).toThrow(refusal);
        expect(() => file.truncateSync(position)).toThrow(refusal);
        await expect(file.read(new Uint8Array(1), position)).rejects.toThrow(refusal);
        await expect(file.write([patternOf(1)], position)).rejects.toThrow(refusal);
        await expect(file.truncate(position)).rejects.toThrow(refusal);
      }
      expectSameBytes(contentOf(file), patternOf(10));
    });
  });
}

function describeWriting(open: Open): void {
  describe('writing', () => {
    for (const [kind, write] of [['sync', writeSync] as const, ['async', writeAsync] as const]) {
      it(`grows the file by the needed length only (${kind})`, async () => {
        const file = await open('grown');
        await write(file, [patternOf(10)], 0);
        expect(file.length()).toBe(10);
        await write(file, [patternOf(4, 2)], 2);
        expect(file.length()).toBe(10);
        await write(file, [patternOf(200_000)], 5);
        expect(file.length()).toBe(200_005);
      });

      it(`leaves a gap that reads as zeros (${kind})`, async () => {
        const file = await open('gap');
        await write(file, [patternOf(3)], 0);
        await write(file, [patternOf(3)], 1_000_000);
        const expected = new Uint8Array(1_000_003);
        expected.set(patternOf(3), 0);
        expected.set(patternOf(3), 1_000_000);
        expectSameBytes(contentOf(file), expected);
      });

      it(`writes two thousand chunks in their order, empty ones among them (${kind})`, async () => {
        const file = await open('many');
        const chunks = Array.from({ length: 2000 }, (_, index) => patternOf(index % 200, index));
        await write(file, chunks, 17);
        const expected = new Uint8Array(Buffer.concat([new Uint8Array(17), ...chunks]));
        expectSameBytes(contentOf(file), expected);
      });

      it(`changes nothing if there is nothing to write (${kind})`, async () => {
        const file = await open('nothing');
        await write(file, [], 100);
        await write(file, [new Uint8Array(0), new Uint8Array(0)], 100);
        expect(file.length()).toBe(0);
      });

      it(`takes a view of a larger buffer, and no more than it shows (${kind})`, async () => {
        const file = await open('view');
        const whole = patternOf(30);
        await write(file, [whole.subarray(10, 20), Buffer.from(whole.subarray(0, 5))], 0);
        const expected = new Uint8Array([...whole.subarray(10, 20), ...whole.subarray(0, 5)]);
        expectSameBytes(contentOf(file), expected);
      });
    }

    it('writes in parallel if the ranges do not overlap', async () => {
      const file = await open('parallel');
      const parts = Array.from({ length: 64 }, (_, index) => patternOf(9_973, index));
      await Promise.all(parts.map((part, index) => file.write([part], index * 9_973)));
      expectSameBytes(contentOf(file), new Uint8Array(Buffer.concat(parts)));
    });

    it('shows a write that has returned to every later read, sync or not', async () => {
      const file = await open('seen');
      const target = new Uint8Array(100);
      file.writeSync([patternOf(100, 3)], 50);
      expect(await file.read(target, 50)).toBe(100);
      expectSameBytes(target, patternOf(100, 3));
      await file.write([patternOf(100, 4)], 50);
      expect(file.readSync(target, 50)).toBe(100);
      expectSameBytes(target, patternOf(100, 4));
    });

    it('syncs, and keeps the written bytes', async () => {
      const file = await open('synced');
      file.writeSync([patternOf(100)], 0);
      await file.datasync();
      file.datasyncSync();
      expectSameBytes(contentOf(file), patternOf(100));
    });
  });
}

function describeLengthAndTrim(open: Open): void {
  describe('length and trim', () => {
    for (const [kind, truncate] of [
      ['sync', truncateSync] as const,
      ['async', truncateAsync] as const,
    ]) {
      it(`grows by truncate with zeros, also after bytes were cut off (${kind})`, async () => {
        const file = await open('truncated');
        file.writeSync([patternOf(200_000)], 0);
        await truncate(file, 70_001);
        expect(file.length()).toBe(70_001);
        await truncate(file, 150_000);
        const expected = new Uint8Array(150_000);
        expected.set(patternOf(200_000).subarray(0, 70_001));
        expectSameBytes(contentOf(file), expected);
        await truncate(file, 0);
        expect(file.length()).toBe(0);
      });

      it(`is terabytes long without holding them (${kind})`, async () => {
        const file = await open('sparse');
        await truncate(file, 2 ** 41);
        expect(file.length()).toBe(2 ** 41);
        file.writeSync([patternOf(10)], 2 ** 40);
        const target = new Uint8Array(20).fill(9);
        file.readSync(target, 2 ** 40 - 10);
        expectSameBytes(target, Uint8Array.of(...Array(10).fill(0), ...patternOf(10)));
        await truncate(file, 100);
        expectSameBytes(contentOf(file), new Uint8Array(100));
      });
    }

    it('reads zeros in a trimmed range, and keeps its length and the rest', async () => {
      const file = await open('trimmed');
      const expected = patternOf(40 * 4096);
      file.writeSync([expected], 0);
      if (file.trim !== undefined) {
        await file.trim(3 * 4096, 30 * 4096);
        expected.fill(0, 3 * 4096, 33 * 4096);
        await file.trim(38 * 4096, 100 * 4096);
        expected.fill(0, 38 * 4096);
        await file.trim(1000 * 4096, 4096);
      }
      expectSameBytes(contentOf(file), expected);
    });
  });
}

async function readSync(file: StorageFile, target: Uint8Array, position: number): Promise<number> {
  return file.readSync(target, position);
}

async function readAsync(file: StorageFile, target: Uint8Array, position: number): Promise<number> {
  return file.read(target, position);
}

async function writeSync(file: StorageFile, chunks: Uint8Array[], position: number): Promise<void> {
  file.writeSync(chunks, position);
}

async function writeAsync(
  file: StorageFile,
  chunks: Uint8Array[],
  position: number,
): Promise<void> {
  await file.write(chunks, position);
}

async function truncateSync(file: StorageFile, length: number): Promise<void> {
  file.truncateSync(length);
}

async function truncateAsync(file: StorageFile, length: number): Promise<void> {
  await file.truncate(length);
}
