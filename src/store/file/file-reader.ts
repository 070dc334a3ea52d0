/**
 * Reads the store's file: exact lengths, bounded by the file, with varve's errors.
 *
 * Invariant: no buffer is allocated for bytes that the file does not have, whatever a length field
 * says. A short read before the end of the file is continued. The caller checks the content.
 */

import { corrupt, ioError, VarveError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { StorageFile } from '../../io/file-system.ts';
import { type LogHistory, noHistory, type PageSource } from './page-source.ts';

export class FileReader implements PageSource {
  readonly file: StorageFile;
  readonly path: string;
  /** The file's salt; set once the header has been read. */
  salt: Uint8Array = new Uint8Array(0);
  /** The log for healing damaged structures; set once the log is known. */
  history: LogHistory = noHistory;
  /** For a reader beside a writer that has opened: the settled base that it opened with. */
  newerThan: number | undefined;
  /** Reads of the file since it was opened. */
  reads = 0;

  constructor(file: StorageFile, path: string) {
    this.file = file;
    this.path = path;
  }

  /** Length of the file in bytes. */
  length(): number {
    try {
      return this.file.length();
    } catch (error) {
      throw ioError('reading the length', this.path, error);
    }
  }

  /**
   * Fills `target` from `offset`. A file shorter than `length` counts as that long, with zeros
   * after its end. Throws `VARVE_CORRUPT` past the end of the file, `VARVE_IO`.
   */
  fill(target: Uint8Array, offset: number, length = 0): void {
    zeroRest(target, offset, { read: this.fillUpTo(target, offset), length });
  }

  /** As `fill`, but fewer bytes at the end of the file; returns how many there were. */
  fillUpTo(target: Uint8Array, offset: number): number {
    if (isBeyondFiles(offset + target.length)) return 0;
    this.reads += 1;
    try {
      let read = this.file.readSync(target, offset);
      while (this.#isShort(target, offset, read)) {
        const more = this.file.readSync(target.subarray(read), offset + read);
        if (more === 0 && this.#isShort(target, offset, read))
          throw this.#nothingCame(offset + read);
        read += more;
      }
      return read;
    } catch (error) {
      throw ioError('a read', this.path, error);
    }
  }

  /** As `fill`, without blocking. */
  async fillAsync(target: Uint8Array, offset: number, length = 0): Promise<void> {
    if (isBeyondFiles(offset + target.length)) throw pastTheEnd(offset, target.length, 0);
    this.reads += 1;
    let read: number;
    try {
      read = await this.file.read(target, offset);
      while (this.#isShort(target, offset, read)) {
        const more = await this.file.read(target.subarray(read), offset + read);
        if (more === 0 && this.#isShort(target, offset, read))
          throw this.#nothingCame(offset + read);
        read += more;
      }
    } catch (error) {
      throw ioError('a read', this.path, error);
    }
    zeroRest(target, offset, { read, length });
  }

  /** The read was short before the end of the file: the rest must be read, not taken for zeros. */
  #isShort(target: Uint8Array, offset: number, read: number): boolean {
    return read < target.length && offset + read < this.file.length();
  }

  #nothingCame(offset: number): VarveError {
    const { path } = this;
    const actual = this.file.length();
    const message = `a read at byte ${offset} gave no bytes, but '${path}' has ${actual} bytes`;
    return new VarveError('VARVE_IO', message, { path, offset, actual });
  }

  /** `length` bytes at `offset`, in a new buffer. Throws as `fill`. */
  bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset + length > this.length()) throw pastTheEnd(offset, length, this.length() - offset);
    const target = new Uint8Array(length);
    this.fill(target, offset);
    return target;
  }

  readPage(page: number): Uint8Array {
    return this.bytes(page * pageBytes, pageBytes);
  }

  /** Up to `pages` pages from `page` on, fewer bytes at the end of the file. Throws `VARVE_IO`. */
  readPages(page: number, pages: number): Uint8Array {
    const offset = page * pageBytes;
    const length = Math.min(pages * pageBytes, this.length() - offset);
    return this.bytes(offset, Math.max(0, length));
  }
}

const aheadBytes = 64 * 1024;

/**
 * Reads small parts of a file, mostly in order, 64 KiB at a time. Requires: no write to the file
 * meanwhile.
 */
export class ReadAhead {
  readonly #file: FileReader;
  readonly #buffer = new Uint8Array(aheadBytes);
  #offset = 0;
  #length = 0;

  constructor(file: FileReader) {
    this.#file = file;
  }

  /** Up to 64 KiB at `offset`, fewer at the end of the file; valid until the next call. */
  view(offset: number, length: number): Uint8Array {
    const from = offset - this.#offset;
    if (from >= 0 && from + length <= this.#length)
      return this.#buffer.subarray(from, from + length);
    this.#length = this.#file.fillUpTo(this.#buffer, offset);
    this.#offset = offset;
    return this.#buffer.subarray(0, Math.min(length, this.#length));
  }
}

/**
 * Beyond any file's length, though a page number of 48 bits can say so: the system is not asked.
 */
function isBeyondFiles(offset: number): boolean {
  return !Number.isSafeInteger(offset);
}

/** Fills the rest of `target`, after `read` bytes, with zeros if it is before byte `length`. */
function zeroRest(
  target: Uint8Array,
  offset: number,
  { read, length }: { read: number; length: number },
): void {
  if (read === target.length) return;
  if (offset + target.length > length) throw pastTheEnd(offset, target.length, read);
  target.fill(0, read);
}

function pastTheEnd(offset: number, expected: number, actual: number): Error {
  const message = 'the file is too short: bytes are missing';
  return corrupt(message, { offset, expected, actual: Math.max(0, actual) });
}
