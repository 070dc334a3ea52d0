/**
 * A file system around another one that counts the reads that go through it.
 *
 * Invariant: every call reaches the file system within, unchanged. It counts reads only: what is
 * written and synced, `Store.statistics` tells.
 */

import type { FileSystem, OpenFileOptions, StorageFile } from '../../src/index.ts';

export class CountingFileSystem implements FileSystem {
  readonly #inner: FileSystem;
  reads = 0;
  bytesRead = 0;

  constructor(inner: FileSystem) {
    this.#inner = inner;
  }

  async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
    const file = await this.#inner.open(path, options);
    const { readSync, read } = file;
    file.readSync = (target, position) => this.#count(readSync.call(file, target, position));
    file.read = async (target, position) => this.#count(await read.call(file, target, position));
    return file;
  }

  #count(bytes: number): number {
    this.reads += 1;
    this.bytesRead += bytes;
    return bytes;
  }
}
