/**
 * Reading values: what was stored under an id, in memory of the caller's own, or VARVE_CORRUPT,
 * through the cache and past it.
 */

import { describe, expect, it } from 'vitest';
import { encodeValuePrefix, valueCrc } from '../../src/format/value.ts';
import type { StorageFile } from '../../src/io/file-system.ts';
import { memoryFileSystem } from '../../src/io/memory-file-system.ts';
import { FileReader } from '../../src/store/file-reader.ts';
import { type ValuePlace, ValueReader } from '../../src/store/value-reader.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';

const id = { basin: 0, stratum: 1, index: 77 };
const mebibyte = 1024 * 1024;
const lengths = [0, 1, 100, 1016, 1024, 1025, 65_000, 65_528, 65_529, 200_000];

async function readerOf(cacheBytes: number): Promise<{ file: StorageFile; values: ValueReader }> {
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await memoryFileSystem().open('values', options);
  return { file, values: new ValueReader(new FileReader(file, 'values'), cacheBytes) };
}

function store(file: StorageFile, length: number, offset = 5000): ValuePlace {
  const bytes = patternOf(length, 9);
  const prefix = new Uint8Array(8);
  encodeValuePrefix(prefix, length, valueCrc(id, bytes));
  const padding = new Uint8Array(32 - ((length + 8) % 32));
  file.writeSync([prefix, bytes, padding], offset);
  return { id, offset, capacity: length + 8 + padding.length };
}

const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT' });

describe.each([
  ['with a cache', mebibyte],
  ['with a cache that is too small to be used', 4096],
  ['without a cache', 0],
])('a value reader %s', (_, cacheBytes) => {
  it.each(lengths)(
    'gives back a value of %d bytes, each time in memory of its own',
    async (length) => {
      const { file, values } = await readerOf(cacheBytes);
      const place = store(file, length);
      const expected = patternOf(length, 9);
      const first = values.read(place);
      expectSameBytes(first, expected);
      first.fill(0);
      const second = values.read(place);
      expectSameBytes(second, expected);
      expectSameBytes((await values.readAsync(place)).bytes, expected);
      expect(values.length(place)).toBe(length);
      expect(values.measure(place)).toMatchObject({ length });
      expectSameBytes(second, expected);
    },
  );

  it('refuses a value whose bytes, length, id or place are not those stored', async () => {
    for (const change of [8, 60, 107, 0, 4]) {
      const { file, values } = await readerOf(cacheBytes);
      const place = store(file, 100);
      const byte = new Uint8Array(1);
      file.readSync(byte, place.offset + change);
      file.writeSync([byte.map((old) => old ^ 4)], place.offset + change);
      expect(() => values.read(place)).toThrow(corrupt);
      await expect(values.readAsync(place)).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
      const found = values.measure(place);
      if (found !== undefined) expect(found.stored).not.toBe(found.computed);
    }
    const { file, values } = await readerOf(cacheBytes);
    const place = store(file, 100);
    const other = { ...place, id: { ...id, index: 78 } };
    expect(() => values.read(other)).toThrow(
      expect.objectContaining({ code: 'VARVE_CORRUPT', offset: place.offset }),
    );
  });

  it('refuses a length that its grains cannot hold, before it makes room for it', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const place = store(file, 100);
    file.writeSync([new Uint8Array([255, 255, 255, 255])], place.offset);
    expect(() => values.length(place)).toThrow(corrupt);
    expect(() => values.read(place)).toThrow(corrupt);
    expect(values.measure(place)).toBe(undefined);
    await expect(values.readAsync(place)).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
  });

  it('refuses a value that the file ends within', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const place = store(file, 100_000);
    file.truncateSync(place.offset + 50_000);
    expect(() => values.read(place)).toThrow(corrupt);
    expect(values.measure(place)).toBe(undefined);
    file.truncateSync(place.offset + 4);
    expect(values.measure(place)).toBe(undefined);
  });
});

it('small results do not overlap, however many there are', async () => {
  const { file, values } = await readerOf(mebibyte);
  const place = store(file, 700);
  const results = Array.from({ length: 200 }, () => values.read(place));
  for (const [at, result] of results.entries()) result.fill(at);
  for (const [at, result] of results.entries()) {
    if (result.some((byte) => byte !== at)) expect(`result ${at}`).toBe('left alone');
  }
});

it('a value that was written and told of is read from the cache as it is now', async () => {
  const { file, values } = await readerOf(mebibyte);
  const place = store(file, 100);
  values.read(place);
  const bytes = new Uint8Array(100).fill(3);
  const prefix = new Uint8Array(8);
  encodeValuePrefix(prefix, 100, valueCrc(id, bytes));
  file.writeSync([prefix, bytes], place.offset);
  values.cache.written([prefix, bytes], place.offset);
  expectSameBytes(values.read(place), bytes);
});
