/**
 * The file of an open store, for everything that writes to it: it reports to `Space` whether the
 * disk took each write.
 *
 * Invariant: all writes to an open store go through it, so `Space` learns of a full disk from every
 * writer. It changes no request and keeps no error.
 */

import { systemCode } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { StorageFile } from '../../io/file-system.ts';
import type { Space } from './space.ts';

/** Error codes of a full disk or a used-up quota. */
const fullCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

export function watchedFile(file: StorageFile, space: Space): StorageFile {
  return new WatchedFile(file, space);
}

class WatchedFile implements StorageFile {
  readonly #file: StorageFile;
  readonly #space: Space;

  constructor(file: StorageFile, space: Space) {
    this.#file = file;
    this.#space = space;
  }

  length(): number {
    return this.#file.length();
  }

  readSync(target: Uint8Array, position: number): number {
    return this.#file.readSync(target, position);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#file.read(target, position);
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    const end = endOf(chunks, position);
    try {
      this.#file.writeSync(chunks, position);
    } catch (error) {
      this.#refused(position, end, error);
      throw error;
    }
    this.#written(position, end);
  }

  write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    const end = endOf(chunks, position);
    const writing = this.#file.write(chunks, position);
    // Return this promise itself: the caller goes on as soon as without this wrapper.
    writing.then(
      () => this.#written(position, end),
      (error: unknown) => this.#refused(position, end, error),
    );
    return writing;
  }

  truncateSync(length: number): void {
    try {
      this.#file.truncateSync(length);
    } catch (error) {
      this.#refused(length, length, error);
      throw error;
    }
  }

  truncate(length: number): Promise<void> {
    const truncating = this.#file.truncate(length);
    truncating.then(undefined, (error: unknown) => this.#refused(length, length, error));
    return truncating;
  }

  #written(position: number, end: number): void {
    this.#space.written(Math.floor(position / pageBytes), Math.ceil(end / pageBytes));
  }

  #refused(position: number, end: number, error: unknown): void {
    const isFull = fullCodes.has(systemCode(error) ?? '');
    this.#space.refused(Math.floor(position / pageBytes), Math.ceil(end / pageBytes), isFull);
  }

  datasync(): Promise<void> {
    return this.#file.datasync();
  }

  datasyncSync(): void {
    this.#file.datasyncSync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function endOf(chunks: readonly Uint8Array[], position: number): number {
  let end = position;
  for (const chunk of chunks) end += chunk.length;
  return end;
}
