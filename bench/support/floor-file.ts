/**
 * The least that storing bytes durably can cost on this disk: positioned writes and one
 * `fdatasync`, without names, checksums or a log.
 *
 * Invariant: into zero-filled space it never leaves what was filled, so the file system has neither
 * blocks to initialise nor a length to change, and goes round in it; a growing file only grows.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pageBytes, sectorBytes } from '../../src/format/layout.ts';
import type { Contestant } from './contestant.ts';

const mebibyte = 1024 * 1024;
const write = promisify(fs.write);
const datasync = promisify(fs.fdatasync);

export class FloorFile {
  readonly fd: number;
  /** Bytes that were filled with zeros; nothing for a file that grows. */
  readonly #filledBytes: number;
  #next = 0;

  /** Fills `filledBytes` with zeros; without them the file grows. */
  constructor(path: string, filledBytes = 0) {
    this.#filledBytes = filledBytes;
    this.fd = fs.openSync(path, 'wx+');
    const zeros = new Uint8Array(4 * mebibyte);
    for (let at = 0; at < filledBytes; at += zeros.length) {
      fs.writeSync(this.fd, zeros, 0, Math.min(zeros.length, filledBytes - at), at);
    }
    fs.fsyncSync(this.fd);
  }

  close(): void {
    fs.closeSync(this.fd);
  }

  /**
   * Where the next bytes go: on a page, as a store's values do; up to a sector, in the next sector,
   * as the records of a log do.
   */
  take(bytes: number): number {
    const grows = this.#filledBytes === 0;
    if (!grows && this.#next + bytes > this.#filledBytes) this.#next = 0;
    const at = this.#next;
    const unitBytes = bytes <= sectorBytes ? sectorBytes : pageBytes;
    this.#next += Math.ceil(bytes / unitBytes) * unitBytes;
    return at;
  }

  commitSync(bytes: Uint8Array): void {
    fs.writeSync(this.fd, bytes, 0, bytes.length, this.take(bytes.length));
    fs.fdatasyncSync(this.fd);
  }

  /** The same through the pool of threads. */
  async commit(bytes: Uint8Array): Promise<void> {
    await write(this.fd, bytes, 0, bytes.length, this.take(bytes.length));
    await datasync(this.fd);
  }

  /** The write on this thread, the sync on one of the pool. */
  async commitMixed(bytes: Uint8Array): Promise<void> {
    fs.writeSync(this.fd, bytes, 0, bytes.length, this.take(bytes.length));
    await datasync(this.fd);
  }

  /** In two regions, as a value and its record in a log. */
  commitTwiceSync(bytes: Uint8Array): void {
    const at = this.take(bytes.length);
    const half = this.#filledBytes / 2;
    fs.writeSync(this.fd, bytes, 0, bytes.length, at);
    fs.writeSync(this.fd, bytes, 0, bytes.length, (at + half) % this.#filledBytes);
    fs.fdatasyncSync(this.fd);
  }

  /** A large value: its length first, then pieces of 1 MiB. */
  growSync(bytes: Uint8Array): void {
    const at = this.take(bytes.length);
    fs.ftruncateSync(this.fd, at + bytes.length);
    for (let done = 0; done < bytes.length; done += mebibyte) {
      const piece = Math.min(mebibyte, bytes.length - done);
      fs.writeSync(this.fd, bytes, done, piece, at + done);
    }
    fs.fdatasyncSync(this.fd);
  }
}

/** A floor on such a file of its own; a run is one `commit`. */
export function floorFile(
  name: string,
  filledBytes: number,
  commit: (file: FloorFile) => unknown,
): Contestant {
  return {
    name,
    kind: 'floor',
    open(folder) {
      const file = new FloorFile(join(folder, 'floor'), filledBytes);
      return { run: () => commit(file), close: () => file.close() };
    },
  };
}
