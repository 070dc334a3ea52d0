/**
 * The file of an open store, as everything that writes to it sees it: each write tells the space
 * whether the disk took it.
 *
 * Invariant: no write to an open store goes by another way, so what `Space` knows of a full disk
 * does not depend on who wrote. It changes nothing of what is asked for, and keeps no error.
 */

import { pageBytes } from '../../format/layout.ts';
import type { StorageFile } from '../../io/file-system.ts';
import type { Space } from './space.ts';

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
    const end = endPage(chunks, position);
    try {
      this.#file.writeSync(chunks, position);
    } catch (error) {
      this.#space.refused(end);
      throw error;
    }
    this.#space.written(end);
  }

  write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    const end = endPage(chunks, position);
    const writing = this.#file.write(chunks, position);
    // The caller is given the promise itself, and goes on as soon as without this file in between.
    writing.then(
      () => this.#space.written(end),
      () => this.#space.refused(end),
    );
    return writing;
  }

  truncateSync(length: number): void {
    try {
      this.#file.truncateSync(length);
    } catch (error) {
      this.#space.refused(Math.ceil(length / pageBytes));
      throw error;
    }
  }

  truncate(length: number): Promise<void> {
    const truncating = this.#file.truncate(length);
    truncating.then(undefined, () => this.#space.refused(Math.ceil(length / pageBytes)));
    return truncating;
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

function endPage(chunks: readonly Uint8Array[], position: number): number {
  let end = position;
  for (const chunk of chunks) end += chunk.length;
  return Math.ceil(end / pageBytes);
}
