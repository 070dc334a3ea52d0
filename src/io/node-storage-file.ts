/**
 * One open file of this machine: a raw descriptor and positioned calls.
 *
 * Invariant: no call reaches the descriptor after `close` has begun, and `close` waits for calls in
 * flight: the number may belong to another file a moment later. A read is short only at the end of
 * the file. A write is complete or an error, however the system divides it. It neither buffers nor
 * copies; `node-file-system.ts` opens and locks.
 *
 * libuv chooses what `datasync` does (`uv__fs_fdatasync`): fdatasync on Linux; fcntl(F_FULLFSYNC)
 * on macOS, since fsync there leaves the drive's cache unflushed, and F_BARRIERFSYNC or fsync only
 * if the file system lacks that; fsync on the BSDs; FlushFileBuffers on Windows.
 */

import { systemCode } from '../errors.ts';
import { callBytesMax, chunksOfOneCall, withoutFront } from './chunk-list.ts';
import type { StorageFile } from './file-system.ts';
import { nodeModule } from './node-modules.ts';
import type { NativeExtensions } from './node-native-extensions.ts';
import type { FileLock } from './node-platform-lock.ts';
import { checkBytes, systemError } from './system-error.ts';

const fs = nodeModule('fs');

/** An open descriptor with its lock; the `NodeStorageFile` takes ownership of all. */
export interface OpenDescriptor {
  readonly fd: number;
  readonly path: string;
  /** The writer's lock; a file without one is read-only. */
  readonly lock: FileLock | undefined;
  /** Undefined if it does not load: there is no `trim`. */
  readonly addon: NativeExtensions | undefined;
}

export class NodeStorageFile implements StorageFile {
  /** Only with the addon: some platforms cannot punch holes. */
  declare readonly trim?: (position: number, length: number) => Promise<void>;
  readonly #fd: number;
  readonly #path: string;
  readonly #lock: FileLock | undefined;
  #closing: Promise<void> | undefined;
  #callsUnderWay = 0;
  #onIdle: (() => void) | undefined;

  constructor({ fd, path, lock, addon }: OpenDescriptor) {
    this.#fd = fd;
    this.#path = path;
    this.#lock = lock;
    if (addon !== undefined) this.trim = (position, length) => this.#trim(addon, position, length);
  }

  length(): number {
    this.#checkOpen('fstat');
    return fs.fstatSync(this.#fd).size;
  }

  readSync(target: Uint8Array, position: number): number {
    this.#checkOpen('read');
    checkBytes(position, 'read', this.#path);
    let done = 0;
    while (done < target.length) {
      const count = readOnceSync(this.#fd, target, done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#checkOpen('read');
    checkBytes(position, 'read', this.#path);
    return this.#track(async () => {
      let done = 0;
      while (done < target.length) {
        const count = await readOnce(this.#fd, target, done, position + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    });
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    this.#checkWritable('write');
    checkBytes(position, 'write', this.#path);
    let next = position;
    let rest = withoutFront(chunks, 0);
    while (rest.length > 0) {
      const count = writeOnceSync(this.#fd, chunksOfOneCall(rest), next);
      this.#checkProgress(count);
      rest = withoutFront(rest, count);
      next += count;
    }
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.#checkWritable('write');
    checkBytes(position, 'write', this.#path);
    await this.#track(async () => {
      let next = position;
      let rest = withoutFront(chunks, 0);
      while (rest.length > 0) {
        const count = await writeOnce(this.#fd, chunksOfOneCall(rest), next);
        this.#checkProgress(count);
        rest = withoutFront(rest, count);
        next += count;
      }
    });
  }

  truncateSync(length: number): void {
    this.#checkWritable('ftruncate');
    checkBytes(length, 'ftruncate', this.#path);
    fs.ftruncateSync(this.#fd, length);
  }

  async truncate(length: number): Promise<void> {
    this.#checkWritable('ftruncate');
    checkBytes(length, 'ftruncate', this.#path);
    await this.#track(() => settled((done) => fs.ftruncate(this.#fd, length, done)));
  }

  datasyncSync(): void {
    this.#checkOpen('fdatasync');
    fs.fdatasyncSync(this.#fd);
  }

  async datasync(): Promise<void> {
    this.#checkOpen('fdatasync');
    await this.#track(() => settled((done) => fs.fdatasync(this.#fd, done)));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#callsUnderWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    try {
      await this.#lock?.release();
    } finally {
      await settled((done) => fs.close(this.#fd, done));
    }
  }

  async #trim(addon: NativeExtensions, position: number, length: number): Promise<void> {
    this.#checkWritable('trim');
    checkBytes(position, 'trim', this.#path);
    checkBytes(length, 'trim', this.#path);
    // Beyond the end there is nothing to free, and macOS would grow the file.
    const end = Math.min(position + length, this.length());
    if (end <= position) return;
    await this.#track(async () => {
      await addon.sparse(this.#fd);
      await addon.trim(this.#fd, position, end - position);
    });
  }

  /** Runs an asynchronous call; `close` waits for it. */
  async #track<T>(call: () => Promise<T>): Promise<T> {
    this.#callsUnderWay += 1;
    try {
      return await call();
    } finally {
      this.#callsUnderWay -= 1;
      if (this.#callsUnderWay === 0) this.#onIdle?.();
    }
  }

  #checkOpen(syscall: string): void {
    if (this.#closing !== undefined) throw systemError('EBADF', syscall, this.#path);
  }

  #checkWritable(syscall: string): void {
    this.#checkOpen(syscall);
    if (this.#lock === undefined) throw systemError('EBADF', syscall, this.#path);
  }

  /** Prevents an endless loop of calls that write nothing and report no error. */
  #checkProgress(count: number): void {
    if (count === 0) throw systemError('EIO', 'write', this.#path);
  }
}

/** libuv repeats every call that a signal interrupts, except for reads. */
const interrupted = 'EINTR';

function readOnceSync(fd: number, target: Uint8Array, done: number, position: number): number {
  const count = Math.min(target.length - done, callBytesMax);
  for (;;) {
    try {
      return fs.readSync(fd, target, done, count, position);
    } catch (error) {
      if (systemCode(error) !== interrupted) throw error;
    }
  }
}

function readOnce(fd: number, target: Uint8Array, done: number, position: number): Promise<number> {
  const count = Math.min(target.length - done, callBytesMax);
  return new Promise((resolve, reject) => {
    const start = (): void => {
      fs.read(fd, target, done, count, position, (error, read) => {
        if (!error) resolve(read);
        else if (error.code === interrupted) start();
        else reject(error);
      });
    };
    start();
  });
}

function writeOnceSync(fd: number, chunks: readonly Uint8Array[], position: number): number {
  const first = chunks[0];
  return first !== undefined && chunks.length === 1
    ? fs.writeSync(fd, first, 0, first.length, position)
    : fs.writevSync(fd, chunks, position);
}

function writeOnce(fd: number, chunks: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, chunks, position, (error, written) => {
      if (error) reject(error);
      else resolve(written);
    });
  });
}

/** A promise for a call whose callback takes only an error. */
function settled(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
