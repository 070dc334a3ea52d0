/**
 * Reading the files of the demo: whole, to store them, and piece by piece, to compare them.
 *
 * Invariant: comparing needs no second copy of a file: a mebibyte of it at a time. Errors are the
 * system's own; what to make of them is the caller's business.
 */

import { type FileHandle, open, readFile } from 'node:fs/promises';
import type { FoundFile } from './found-files.ts';

const pieceBytes = 1024 * 1024;
/** Node reads no more than 2 GiB at once. */
const wholeBytesMax = 1024 ** 3;

/** All bytes of the file. */
export async function readWhole(file: FoundFile): Promise<Uint8Array> {
  if (file.bytes <= wholeBytesMax) return await readFile(file.path);
  const handle = await open(file.path);
  try {
    const bytes = new Uint8Array(file.bytes);
    const length = await fill(handle, bytes, 0);
    return bytes.subarray(0, length);
  } finally {
    await handle.close();
  }
}

/** Reads until `target` is full or the file ends; returns the bytes read. */
async function fill(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(target.length - done, wholeBytesMax);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** First place where the file is not `bytes`; undefined where they are the same. */
export async function firstDifference(
  bytes: Uint8Array,
  path: string,
): Promise<number | undefined> {
  const handle = await open(path);
  try {
    // One byte more than is expected, so that a longer file shows.
    const piece = new Uint8Array(Math.min(pieceBytes, bytes.length + 1));
    for (let at = 0; ; at += piece.length) {
      const read = await fill(handle, piece, at);
      const there = piece.subarray(0, read);
      const expected = bytes.subarray(at, at + piece.length);
      if (Buffer.compare(there, expected) !== 0) return at + placeOf(there, expected);
      if (read < piece.length) return undefined;
    }
  } finally {
    await handle.close();
  }
}

function placeOf(one: Uint8Array, other: Uint8Array): number {
  const place = one.findIndex((byte, at) => byte !== other[at]);
  return place < 0 ? Math.min(one.length, other.length) : place;
}
