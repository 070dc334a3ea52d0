/**
 * A file system with one file whose bytes are given, that counts what is done with it, and a meter
 * of the memory that is taken meanwhile: what a decoder may cost is bounded by what it reads.
 *
 * Invariant: it behaves as files on disk do, errors included, and the bytes given stay as they are.
 * A store that reads without end meets an error that is none of varve's, so that what would hang
 * fails.
 */

import { vi } from 'vitest';
import type { FileSystem, StorageFile } from '../../../src/index.ts';
import { checkBytes } from '../../../src/io/system-error.ts';

/** More than any opening, verification or closing of an image has reason for. */
const readsMax = 100_000;
/** As a disk that has no room for what a damaged file asks for. */
const imageBytesMax = 64 * 1024 * 1024;
const path = 'image';

export class MeasuredImage implements FileSystem {
  bytes: Uint8Array;
  /** Writes and changes of length. */
  changes = 0;
  #reads = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes.slice();
  }

  async open(): Promise<StorageFile> {
    return this.file();
  }

  file(): StorageFile {
    return {
      length: () => this.bytes.length,
      readSync: (target, position) => this.#read(target, position),
      read: async (target, position) => this.#read(target, position),
      writeSync: (chunks, position) => this.#write(chunks, position),
      write: async (chunks, position) => this.#write(chunks, position),
      truncateSync: (length) => this.#resize(length),
      truncate: async (length) => this.#resize(length),
      datasyncSync: () => undefined,
      datasync: async () => undefined,
      close: async () => undefined,
    };
  }

  #read(target: Uint8Array, position: number): number {
    checkBytes(position, 'read', path);
    this.#reads += 1;
    if (this.#reads > readsMax) throw new Error('reads without end');
    const part = this.bytes.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  #write(chunks: readonly Uint8Array[], position: number): void {
    checkBytes(position, 'write', path);
    this.changes += 1;
    let end = position;
    for (const chunk of chunks) end += chunk.length;
    if (end > this.bytes.length) this.#grow(end);
    let at = position;
    for (const chunk of chunks) {
      this.bytes.set(chunk, at);
      at += chunk.length;
    }
  }

  #resize(length: number): void {
    checkBytes(length, 'ftruncate', path);
    this.changes += 1;
    if (length > this.bytes.length) this.#grow(length);
    else this.bytes = this.bytes.subarray(0, length);
  }

  #grow(length: number): void {
    if (length > imageBytesMax) {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    }
    const longer = new Uint8Array(length);
    longer.set(this.bytes);
    this.bytes = longer;
  }
}

const measured = ['ArrayBuffer', 'Uint8Array', 'Uint32Array', 'Float64Array'] as const;

/** Memory of typed arrays that was asked for by its length, in bytes. */
export class AllocationMeter {
  total = 0;
  largest = 0;

  /** From now on it counts. */
  start(): void {
    this.total = 0;
    this.largest = 0;
    for (const name of measured) vi.stubGlobal(name, this.#counting(globalThis[name]));
  }

  stop(): void {
    vi.unstubAllGlobals();
  }

  #counting(original: { new (...args: never[]): object }): object {
    const bytesEach = 'BYTES_PER_ELEMENT' in original ? Number(original.BYTES_PER_ELEMENT) : 1;
    return new Proxy(original, {
      construct: (target, args, newTarget): object => {
        const [first] = args as readonly unknown[];
        const bytes = typeof first === 'number' ? first * bytesEach : 0;
        this.total += bytes;
        this.largest = Math.max(this.largest, bytes);
        return Reflect.construct(target, args, newTarget) as object;
      },
    });
  }
}
