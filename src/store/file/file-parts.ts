/**
 * Bytes that belong together and lie in several places of the file, one after another: those of a
 * value in a grain map that has more than one extent.
 *
 * Cuts what is to be written or read at the borders; reads and writes nothing.
 */

import type { FileWrite } from './effects.ts';

/** A stretch of the file, in bytes. */
export interface FilePart {
  readonly offset: number;
  readonly bytes: number;
}

/** `length` bytes of what lies in `parts`, from byte `from` of it on. */
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

/** The chunks, which follow one another, as one write for each part. */
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
  return writes;
}

/** Byte of the file where the rearmost of the parts ends; 0 if there are none. */
export function endOf(parts: Iterable<FilePart>): number {
  let end = 0;
  for (const { offset, bytes } of parts) end = Math.max(end, offset + bytes);
  return end;
}
