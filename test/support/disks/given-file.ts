/**
 * A file system with one file, whose bytes are given: thousands of openings of one store, each a
 * few bytes apart, without a copy of it for those that write nothing.
 *
 * Invariant: the bytes given are never changed: what is written is kept beside them. `changes`
 * counts writes and changes of length. Nothing is ever lost, and no lock is kept: each file has one
 * opening at a time. A store that reads without end, or asks for a file without end, meets an error.
 */

import type { FileSystem, StorageFile } from '../../../src/index.ts';
import { checkBytes } from '../../../src/io/system-error.ts';

/** What is written is kept in pieces of so many bytes. */
const pieceBytes = 4096;
/** More than anything here has reason for. */
const readsMax = 1_000_000;
const lengthMax = 64 * 1024 * 1024;
const path = 'given';

export class GivenFile implements FileSystem, StorageFile {
  /** Writes and changes of length since the file was given. */
  changes = 0;
  #reads = 0;
  readonly #bytes: Uint8Array;
  readonly #pieces = new Map<number, Uint8Array>();
  #length: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#length = bytes.length;
  }

  async open(): Promise<StorageFile> {
    return this;
  }

  /** What the file holds now. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    this.#copyTo(bytes, 0);
    return bytes;
  }

  length(): number {
    return this.#length;
  }

  readSync(target: Uint8Array, position: number): number {
    checkBytes(position, 'read', path);
    this.#reads += 1;
    if (this.#reads > readsMax) throw new Error('reads without end');
    return this.#copyTo(target, position);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return this.readSync(target, position);
  }

  #copyTo(target: Uint8Array, position: number): number {
    const end = Math.min(position + target.length, this.#length);
    if (end <= position) return 0;
    const given = this.#bytes.subarray(position, Math.min(end, this.#bytes.length));
    target.set(given);
    target.fill(0, given.length, end - position);
    if (this.#pieces.size === 0) return end - position;
    const first = Math.floor(position / pieceBytes);
    for (let number = first; number * pieceBytes < end; number++) {
      const piece = this.#pieces.get(number);
      if (piece === undefined) continue;
      const from = Math.max(position, number * pieceBytes);
      const to = Math.min(end, (number + 1) * pieceBytes);
      const within = number * pieceBytes;
      target.set(piece.subarray(from - within, to - within), from - position);
    }
    return end - position;
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    checkBytes(position, 'write', path);
    this.#change(chunks.reduce((end, chunk) => end + chunk.length, position));
    let at = position;
    for (const chunk of chunks) {
      this.#put(chunk, at);
      at += chunk.length;
    }
    if (at > position) this.#length = Math.max(this.#length, at);
  }

  #put(chunk: Uint8Array, position: number): void {
    for (let done = 0; done < chunk.length; ) {
      const within = (position + done) % pieceBytes;
      const count = Math.min(pieceBytes - within, chunk.length - done);
      this.#piece((position + done - within) / pieceBytes).set(
        chunk.subarray(done, done + count),
        within,
      );
      done += count;
    }
  }

  #piece(number: number): Uint8Array {
    let piece = this.#pieces.get(number);
    if (piece === undefined) {
      piece = new Uint8Array(pieceBytes);
      this.#copyTo(piece, number * pieceBytes);
      this.#pieces.set(number, piece);
    }
    return piece;
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.writeSync(chunks, position);
  }

  truncateSync(length: number): void {
    checkBytes(length, 'ftruncate', path);
    this.#change(length);
    const zeros = new Uint8Array(Math.max(0, this.#length - length));
    if (zeros.length > 0) this.#put(zeros, length);
    this.#length = length;
  }

  async truncate(length: number): Promise<void> {
    this.truncateSync(length);
  }

  /** As a disk that has no room for what a damaged file asks for. */
  #change(end: number): void {
    this.changes += 1;
    if (end > lengthMax) {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    }
  }

  datasyncSync(): void {}

  async datasync(): Promise<void> {}

  async close(): Promise<void> {}
}
