/**
 * Files in memory, for the life of the object that `memoryFileSystem` returns: a store in it can be
 * closed and opened again. They behave as files on disk do, including errors and the writer's lock.
 *
 * Invariant: an absent page reads as zeros, and all bytes of a page beyond the end of its file are
 * zero, so growth never touches pages. Growth copies nothing: a file is a map of pages, not one
 * large buffer. Paths are opaque keys; there are no folders. Nothing is durable, and each
 * asynchronous method has done its work when it returns its promise.
 */

import { VarveError } from '../errors.ts';
import type { FileSystem, OpenFileOptions, StorageFile } from './file-system.ts';
import { checkBytes, systemError } from './system-error.ts';

const pageBytes = 64 * 1024;

/** The state that survives closing: the bytes, and whether there is a writer. */
interface MemoryFileContent {
  path: string;
  readonly pages: Map<number, Uint8Array>;
  lengthBytes: number;
  locked: boolean;
}

/** Files in memory, for the life of this object: a store in it can be closed and reopened. */
export function memoryFileSystem(): FileSystem {
  const contents = new Map<string, MemoryFileContent>();
  return {
    async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
      const content = contents.get(path);
      if (content !== undefined && options.exclusive) throw systemError('EEXIST', 'open', path);
      if (content?.locked && !options.readOnly) {
        const message =
          `${JSON.stringify(path)} is open for writing by this process: ` +
          'close it there first, or open it with readOnly';
        throw new VarveError('VARVE_LOCKED', message, { path });
      }
      if (content !== undefined) return new MemoryStorageFile(content, !options.readOnly);
      if (!options.create || options.readOnly) throw systemError('ENOENT', 'open', path);
      const created = { path, pages: new Map(), lengthBytes: 0, locked: false };
      contents.set(path, created);
      return new MemoryStorageFile(created, true);
    },
    async rename(from, to, { overwrite }) {
      const content = contents.get(from);
      if (content === undefined) throw systemError('ENOENT', 'rename', from);
      if (contents.has(to) && !overwrite) throw systemError('EEXIST', 'rename', to);
      contents.delete(from);
      contents.set(to, content);
      content.path = to;
    },
    async remove(path) {
      if (!contents.delete(path)) throw systemError('ENOENT', 'unlink', path);
    },
    async isSame(path, other) {
      return path === other && contents.has(path);
    },
  };
}

class MemoryStorageFile implements StorageFile {
  readonly #content: MemoryFileContent;
  readonly #writable: boolean;
  #closed = false;

  constructor(content: MemoryFileContent, writable: boolean) {
    this.#content = content;
    this.#writable = writable;
    if (writable) content.locked = true;
  }

  length(): number {
    this.#checkOpen('fstat');
    return this.#content.lengthBytes;
  }

  readSync(target: Uint8Array, position: number): number {
    this.#checkOpen('read');
    checkBytes(position, 'read', this.#content.path);
    const end = Math.min(position + target.length, this.#content.lengthBytes);
    let done = position;
    while (done < end) {
      const start = done % pageBytes;
      const count = Math.min(pageBytes - start, end - done);
      const page = this.#content.pages.get((done - start) / pageBytes);
      const from = done - position;
      if (page === undefined) target.fill(0, from, from + count);
      else target.set(page.subarray(start, start + count), from);
      done += count;
    }
    return done - position;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return this.readSync(target, position);
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    this.#checkWritable('write');
    checkBytes(position, 'write', this.#content.path);
    let next = position;
    for (const chunk of chunks) {
      this.#writeChunk(chunk, next);
      next += chunk.length;
    }
    if (next > position) this.#content.lengthBytes = Math.max(this.#content.lengthBytes, next);
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.writeSync(chunks, position);
  }

  truncateSync(length: number): void {
    this.#checkWritable('ftruncate');
    checkBytes(length, 'ftruncate', this.#content.path);
    if (length < this.#content.lengthBytes) this.#zero(length, this.#content.lengthBytes);
    this.#content.lengthBytes = length;
  }

  async truncate(length: number): Promise<void> {
    this.truncateSync(length);
  }

  datasyncSync(): void {
    this.#checkOpen('fdatasync');
  }

  async datasync(): Promise<void> {
    this.datasyncSync();
  }

  async trim(position: number, length: number): Promise<void> {
    this.#checkWritable('trim');
    checkBytes(position, 'trim', this.#content.path);
    checkBytes(length, 'trim', this.#content.path);
    this.#zero(position, Math.min(position + length, this.#content.lengthBytes));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#writable) this.#content.locked = false;
  }

  #writeChunk(chunk: Uint8Array, position: number): void {
    let done = 0;
    while (done < chunk.length) {
      const start = (position + done) % pageBytes;
      const count = Math.min(pageBytes - start, chunk.length - done);
      const pageIndex = (position + done - start) / pageBytes;
      let page = this.#content.pages.get(pageIndex);
      if (page === undefined) {
        page = new Uint8Array(pageBytes);
        this.#content.pages.set(pageIndex, page);
      }
      page.set(chunk.subarray(done, done + count), start);
      done += count;
    }
  }

  /** Makes a range read as zeros: drops whole pages, and clears parts of others. */
  #zero(from: number, to: number): void {
    if (from >= to) return;
    const firstIndex = Math.floor(from / pageBytes);
    const lastIndex = Math.floor((to - 1) / pageBytes);
    // A long range of a sparse file has more page numbers than pages.
    const { pages } = this.#content;
    const few = lastIndex - firstIndex < pages.size;
    const indexes = few ? indexesBetween(firstIndex, lastIndex) : [...pages.keys()];
    for (const index of indexes) {
      if (index < firstIndex || index > lastIndex) continue;
      const start = Math.max(from - index * pageBytes, 0);
      const end = Math.min(to - index * pageBytes, pageBytes);
      if (start === 0 && end === pageBytes) pages.delete(index);
      else pages.get(index)?.fill(0, start, end);
    }
  }

  #checkOpen(syscall: string): void {
    if (this.#closed) throw systemError('EBADF', syscall, this.#content.path);
  }

  #checkWritable(syscall: string): void {
    if (this.#closed || !this.#writable) throw systemError('EBADF', syscall, this.#content.path);
  }
}

function* indexesBetween(first: number, last: number): Generator<number> {
  for (let index = first; index <= last; index += 1) yield index;
}
