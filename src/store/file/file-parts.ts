/**
 * A value's bytes in several parts of the file, in order: its grain map has more than one extent.
 *
 * This file divides reads and writes at the borders of the parts. It does no reads and writes, and
 * knows nothing of values.
 */

import { assert } from '../../util/assert.ts';
import type { FileWrite } from './effects.ts';

/** A range of the file, in bytes. */
export interface FilePart {
  readonly offset: number;
  readonly bytes: number;
}

/** The ranges of `length` bytes from byte `from` of the content of `parts`. */
export function* partsWithin(
  parts: readonly FilePart[],
  from: number,
  length: number,
): Generator<FilePart> {
  let skip = from;
  let rest = length;
  for (const { offset, bytes } of parts) {
    const here = Math.min(bytes - skip, rest);
    if (here > 0) {
      yield { offset: offset + skip, bytes: here };
      rest -= here;
    }
    skip = Math.max(0, skip - bytes);
  }
}

/** The consecutive `chunks` as one write for each part. */
export function writesTo(parts: readonly FilePart[], chunks: readonly Uint8Array[]): FileWrite[] {
  const writes: FileWrite[] = [];
  const left = [...chunks];
  for (const { offset, bytes } of parts) {
    const here: Uint8Array[] = [];
    for (let rest = bytes; rest > 0 && left.length > 0; ) {
      const chunk = left.shift() as Uint8Array;
      here.push(chunk.subarray(0, rest));
      if (chunk.length > rest) left.unshift(chunk.subarray(rest));
      rest -= Math.min(rest, chunk.length);
    }
    if (here.length > 0) writes.push({ offset, chunks: here });
  }
  assert(
    left.every(({ length }) => length === 0),
    'the parts have room for every chunk',
  );
  return writes;
}

/** End of the last part in the file, in bytes; 0 without parts. */
export function endOf(parts: Iterable<FilePart>): number {
  let end = 0;
  for (const { offset, bytes } of parts) end = Math.max(end, offset + bytes);
  return end;
}

/** A part of the file whose content is elsewhere from now on. */
export interface MovedBytes {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** The new offset of the byte at `offset`; undefined if it has not moved. */
export function movedOffset(parts: readonly MovedBytes[], offset: number): number | undefined {
  for (const { from, to, bytes } of parts) {
    if (offset >= from && offset < from + bytes) return to + offset - from;
  }
  return undefined;
}
