/**
 * Reads of the store's file: exact lengths, bounded by the file, with varve's errors.
 *
 * Invariant: no buffer is made for bytes that the file does not have, whatever a length field
 * claims. What the bytes mean is for the caller to check.
 */

import { corrupt, ioError } from '../errors.ts';
import { pageBytes } from '../format/layout.ts';
import type { StorageFile } from '../io/file-system.ts';
import { type LogHistory, noHistory, type PageSource } from './map-loader.ts';

export class FileReader implements PageSource {
  readonly file: StorageFile;
  readonly path: string;
  /** The file's salt; set once the header has been read. */
  salt: Uint8Array = new Uint8Array(0);
  /** What damaged structures are made good with; set once the log is known. */
  history: LogHistory = noHistory;
  /** Opened read-only: a writer may change the file meanwhile. */
  readonly besideWriter: boolean;
  /** Reads of the file since it was opened. */
  reads = 0;

  constructor(file: StorageFile, path: string, besideWriter = false) {
    this.file = file;
    this.path = path;
    this.besideWriter = besideWriter;
  }

  /** Length of the file in bytes. */
  length(): number {
    try {
      return this.file.length();
    } catch (error) {
      throw ioError('asking for the length', this.path, error);
    }
  }

  /** Fills `target` from `offset`. Throws `VARVE_CORRUPT` past the end of the file, `VARVE_IO`. */
  fill(target: Uint8Array, offset: number): void {
    const read = this.fillUpTo(target, offset);
    if (read < target.length) throw pastTheEnd(offset, target.length, read);
  }

  /** As `fill`, but fewer bytes at the end of the file; returns how many there were. */
  fillUpTo(target: Uint8Array, offset: number): number {
    this.reads += 1;
    try {
      return this.file.readSync(target, offset);
    } catch (error) {
      throw ioError('a read', this.path, error);
    }
  }

  async fillAsync(target: Uint8Array, offset: number): Promise<void> {
    this.reads += 1;
    let read: number;
    try {
      read = await this.file.read(target, offset);
    } catch (error) {
      throw ioError('a read', this.path, error);
    }
    if (read < target.length) throw pastTheEnd(offset, target.length, read);
  }

  /** `length` bytes at `offset`, in a buffer of their own. Throws as `fill`. */
  bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset + length > this.length()) throw pastTheEnd(offset, length, this.length() - offset);
    const target = new Uint8Array(length);
    this.fill(target, offset);
    return target;
  }

  readPage(page: number): Uint8Array {
    return this.bytes(page * pageBytes, pageBytes);
  }
}

function pastTheEnd(offset: number, expected: number, actual: number): Error {
  const message = 'the file ends before something that it should hold';
  return corrupt(message, { offset, expected, actual: Math.max(0, actual) });
}
