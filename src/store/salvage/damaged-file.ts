/**
 * The file that is salvaged, as far as the disk gives it.
 *
 * Invariants:
 * - It is only read, and no read fails: pages that the disk refuses read as zeros and are noted.
 *   Bytes after the end of the file are zeros too.
 * - It holds no bytes. Seals and checksums tell its callers what to trust.
 */

import { isVarveError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { StorageFile } from '../../io/file-system.ts';

/** A range of the file, in bytes. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/** Ranges that a report lists at most. */
const rangesMax = 10_000;

export class DamagedFile {
  readonly length: number;
  readonly #file: StorageFile;
  /** Offsets of refused pages. */
  readonly #refused = new Set<number>();

  constructor(file: StorageFile) {
    this.#file = file;
    this.length = file.length();
  }

  /** Fills `target` from byte `offset` of the file. */
  async fill(target: Uint8Array, offset: number): Promise<void> {
    try {
      target.fill(0, await this.#read(target, offset));
    } catch {
      await this.#fillByPages(target, offset);
    }
  }

  /** The ranges that the disk has refused to read, in order. */
  get unreadable(): FileRange[] {
    const ranges: { offset: number; length: number }[] = [];
    for (const offset of [...this.#refused].sort((one, other) => one - other)) {
      const length = Math.min(pageBytes, this.length - offset);
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.length === offset) last.length += length;
      else if (ranges.length < rangesMax) ranges.push({ offset, length });
      else break;
    }
    return ranges;
  }

  async #read(target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    while (filled < target.length && offset + filled < this.length) {
      const bytes = await this.#file.read(target.subarray(filled), offset + filled);
      if (bytes === 0) break;
      filled += bytes;
    }
    return filled;
  }

  /** Page by page: one bad sector must not hide its neighbours. */
  async #fillByPages(target: Uint8Array, offset: number): Promise<void> {
    for (let at = 0; at < target.length; ) {
      const from = offset + at;
      const within = from % pageBytes;
      const part = target.subarray(at, at + pageBytes - within);
      try {
        part.fill(0, await this.#read(part, from));
      } catch {
        part.fill(0);
        this.#refused.add(from - within);
      }
      at += part.length;
    }
  }
}

/**
 * Reads of a damaged file that mostly go forward: a piece is read ahead and kept. Invariant: its
 * memory is one piece, whatever is asked for.
 */
export class AheadReader {
  readonly #file: DamagedFile;
  readonly #piece: Uint8Array;
  #offset = 0;
  #filled = 0;

  constructor(file: DamagedFile, pieceBytes: number) {
    this.#file = file;
    this.#piece = new Uint8Array(pieceBytes);
  }

  /** Bytes of the file if they have been read ahead: valid until the next `read`. */
  there(offset: number, length: number): Uint8Array | undefined {
    const at = offset - this.#offset;
    if (at < 0 || at + length > this.#filled) return undefined;
    return this.#piece.subarray(at, at + length);
  }

  /** Bytes of the file, at most a piece: valid until the next call. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const there = this.there(offset, length);
    if (there !== undefined) return there;
    const left = Math.max(length, this.#file.length - offset);
    const piece = this.#piece.subarray(0, Math.min(left, this.#piece.length));
    this.#filled = 0;
    await this.#file.fill(piece, offset);
    this.#offset = offset;
    this.#filled = piece.length;
    return piece.subarray(0, length);
  }
}

/** Undefined for bytes with a right checksum that make no sense all the same. */
export function unlessCorrupt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (isVarveError(error, 'VARVE_CORRUPT')) return undefined;
    throw error;
  }
}
