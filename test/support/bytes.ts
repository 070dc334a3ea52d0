/**
 * Bytes for tests: patterns in which every displacement shows, and a comparison that is quick for
 * millions of bytes (`toEqual` is not) and names the first place where they differ.
 */

import { expect } from 'vitest';

/** Bytes that differ from those around them, from those of another seed, and from zero. */
export function patternOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index += 1)
    bytes[index] = 1 + ((index * 7 + seed * 31) % 255);
  return bytes;
}

/** The bytes as a source of a stream. */
export async function* inChunks(bytes: Uint8Array, length = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export function expectSameBytes(found: Uint8Array, expected: Uint8Array): void {
  expect(found.length).toBe(expected.length);
  const same = Buffer.compare(found, expected) === 0;
  const place = same ? undefined : found.findIndex((byte, index) => byte !== expected[index]);
  expect(place, 'first byte that differs').toBe(undefined);
}
