/**
 * A file system with one file, whose bytes are given: thousands of openings of one store, each a
 * few bytes apart, without a copy of it for those that write nothing.
 *
 * Invariant: the bytes given are never changed: what is written is kept beside them. `changes`
 * counts writes and changes of length. Nothing is ever lost, and no lock is kept: each disk has one
 * opening at a time.
 */

import type { FileSystem, StorageFile } from '../../src/index.ts';

/** What is written is kept in pieces of so many bytes. */
const pieceBytes = 4096;

export class DamagedDisk implements FileSystem {
  /** Writes and changes of length since the disk was made. */
  changes = 0;
  readonly #bytes: Uint8Array;
  readonly #pieces = new Map<number, Uint8Array>();
  #length: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#length = bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  /** What the file holds now. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    this.read(bytes, 0);
    return bytes;
  }

  async open(): Promise<StorageFile> {
    return new DamagedFile(this);
  }

  read(target: Uint8Array, position: number): number {
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

  write(chunks: readonly Uint8Array[], position: number): void {
    this.changes += 1;
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
      this.read(piece, number * pieceBytes);
      this.#pieces.set(number, piece);
    }
    return piece;
  }

  resize(length: number): void {
    this.changes += 1;
    const zeros = new Uint8Array(Math.max(0, this.#length - length));
    if (zeros.length > 0) this.#put(zeros, length);
    this.#length = length;
  }
}

class DamagedFile implements StorageFile {
  readonly #disk: DamagedDisk;

  constructor(disk: DamagedDisk) {
    this.#disk = disk;
  }

  length(): number {
    return this.#disk.length;
  }

  readSync(target: Uint8Array, position: number): number {
    return this.#disk.read(target, position);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return this.readSync(target, position);
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    this.#disk.write(chunks, position);
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.#disk.write(chunks, position);
  }

  truncateSync(length: number): void {
    this.#disk.resize(length);
  }

  async truncate(length: number): Promise<void> {
    this.#disk.resize(length);
  }

  datasyncSync(): void {}

  async datasync(): Promise<void> {}

  async close(): Promise<void> {}
}
