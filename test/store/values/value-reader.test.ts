/**
 * Reading values: what was stored under an id, in memory of the caller's own, or VARVE_CORRUPT,
 * through the cache and past it, in one place of the file or in several.
 */

import { describe, expect, it } from 'vitest';
import { encodeValuePrefix, valueCrc } from '../../../src/format/value.ts';
import type { StorageFile } from '../../../src/io/file-system.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import type { FilePart } from '../../../src/store/file/file-parts.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import type { ValuePlace } from '../../../src/store/values/value-place.ts';
import { ValueReader } from '../../../src/store/values/value-reader.ts';
import { MemoryBudget } from '../../../src/util/memory-budget.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';

const id = { basin: 0, stratum: 1, index: 77 };
const mebibyte = 1024 * 1024;
const lengths = [0, 1, 100, 1016, 1024, 1025, 65_000, 65_528, 65_529, 200_000];

async function readerOf(cacheBytes: number): Promise<{ file: StorageFile; values: ValueReader }> {
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await memoryFileSystem().open('values', options);
  return {
    file,
    values: new ValueReader(new FileReader(file, 'values'), new MemoryBudget(cacheBytes)),
  };
}

function store(file: StorageFile, length: number, offset = 5000): ValuePlace {
  const bytes = patternOf(length, 9);
  const prefix = new Uint8Array(8);
  encodeValuePrefix(prefix, length, valueCrc(id, bytes));
  const padding = new Uint8Array(32 - ((length + 8) % 32));
  file.writeSync([prefix, bytes, padding], offset);
  return { id, offset, capacity: length + 8 + padding.length, parts: undefined };
}

/**
 * As `store`, into several places: as many bytes in each as `cuts` says, the rest in the last. The
 * first is the rearmost in the file, each other one lies before it.
 */
function storeInParts(file: StorageFile, length: number, cuts: readonly number[]): ValuePlace {
  const whole = store(file, length, 0);
  const bytes = new Uint8Array(whole.capacity);
  file.readSync(bytes, 0);
  file.writeSync([new Uint8Array(whole.capacity).fill(0xee)], 0);
  const parts: FilePart[] = [];
  let offset = whole.capacity + 1000 * cuts.length + 5000;
  let from = 0;
  for (const wanted of [...cuts, whole.capacity - cuts.reduce((sum, cut) => sum + cut, 0)]) {
    offset -= wanted + 1000;
    parts.push({ offset, bytes: wanted });
    file.writeSync([bytes.subarray(from, from + wanted)], offset);
    from += wanted;
  }
  return { ...whole, offset: parts[0]?.offset ?? 0, parts };
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
      expectSameBytes(await values.readAsync(place), expected);
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

describe.each([
  ['with a cache', mebibyte],
  ['without a cache', 0],
])('a value in several places, read %s,', (_, cacheBytes) => {
  it.each([
    [100, [32]],
    [5000, [96, 4096]],
    [65_000, [4096, 8192, 4096, 40_960]],
    [9 * mebibyte, [4096, 3 * mebibyte, 5 * mebibyte]],
  ])('of %d bytes is given back as it was stored', async (length, cuts) => {
    const { file, values } = await readerOf(cacheBytes);
    const place = storeInParts(file, length, cuts);
    const expected = patternOf(length, 9);
    const first = values.read(place);
    expectSameBytes(first, expected);
    first.fill(0);
    expectSameBytes(values.read(place), expected);
    expectSameBytes(await values.readAsync(place), expected);
    expect(values.length(place)).toBe(length);
    const { crc } = values.stored(place);
    expect(values.measure(place)).toEqual({ length, stored: crc, computed: crc });
  });

  it('is refused if a byte in any of its places has changed, with the offset of its first', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const place = storeInParts(file, 20_000, [4096, 8192]);
    for (const part of place.parts ?? []) {
      const byte = new Uint8Array(1);
      file.readSync(byte, part.offset + 10);
      file.writeSync([byte.map((old) => old ^ 4)], part.offset + 10);
      const { offset } = place;
      const refusal = { code: 'VARVE_CORRUPT', offset };
      expect(() => values.read(place)).toThrow(expect.objectContaining(refusal));
      await expect(values.readAsync(place)).rejects.toMatchObject(refusal);
      const found = values.measure(place);
      expect(found?.stored).not.toBe(found?.computed);
      file.writeSync([byte], part.offset + 10);
    }
    expectSameBytes(values.read(place), patternOf(20_000, 9));
  });

  it('is refused if the file ends within its place that is last in the file', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const place = storeInParts(file, 20_000, [4096, 8192]);
    for (const bytes of [4095, 100, 4, 0]) {
      file.truncateSync(place.offset + bytes);
      expect(() => values.read(place)).toThrow(corrupt);
      await expect(values.readAsync(place)).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
      expect(values.measure(place)).toBe(undefined);
    }
  });

  it('is refused if the file ends within the place of its last bytes', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const { parts, ...place } = storeInParts(file, 20_000, [4096, 8192]);
    const [first, second, last] = (parts ?? []) as [FilePart, FilePart, FilePart];
    // The last bytes again, behind everything else.
    const bytes = new Uint8Array(last.bytes);
    file.readSync(bytes, last.offset);
    const rearmost = { offset: 200_000, bytes: last.bytes };
    file.writeSync([bytes], rearmost.offset);
    const moved = { ...place, parts: [first, second, rearmost] };
    const end = 20_008 - 4096 - 8192;
    file.truncateSync(rearmost.offset + end);
    expect(values.measure(moved)?.length).toBe(20_000);
    expectSameBytes(await values.readAsync(moved), patternOf(20_000, 9));
    file.truncateSync(rearmost.offset + end - 1);
    expect(values.measure(moved)).toBe(undefined);
    expect(() => values.read(moved)).toThrow(corrupt);
    await expect(values.readAsync(moved)).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
  });

  it('needs no place after its last byte', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const whole = storeInParts(file, 100, [96]);
    const parts = [...(whole.parts ?? []), { offset: 1_000_000, bytes: 4096 }];
    const place = { ...whole, parts, capacity: whole.capacity + 4096 };
    expectSameBytes(values.read(place), patternOf(100, 9));
    expectSameBytes(await values.readAsync(place), patternOf(100, 9));
    expect(values.measure(place)?.length).toBe(100);
  });

  it('is refused if its length is more than its places hold', async () => {
    const { file, values } = await readerOf(cacheBytes);
    const place = storeInParts(file, 5000, [4096]);
    file.writeSync([new Uint8Array([255, 255, 0, 0])], place.offset);
    expect(() => values.length(place)).toThrow(corrupt);
    expect(values.measure(place)).toBe(undefined);
    await expect(values.readAsync(place)).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
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

it('a value that was written through the cache is read from it with its new bytes', async () => {
  const { file, values } = await readerOf(mebibyte);
  const place = store(file, 100);
  values.read(place);
  const bytes = new Uint8Array(100).fill(3);
  const prefix = new Uint8Array(8);
  encodeValuePrefix(prefix, 100, valueCrc(id, bytes));
  file.writeSync([prefix, bytes], place.offset);
  values.written([prefix, bytes], place.offset);
  expectSameBytes(values.read(place), bytes);
});
