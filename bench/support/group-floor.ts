/**
 * The least that many clients have to wait for: what waits is gathered, written in one call and
 * synced once, then the next. No names, no checksums, no log.
 *
 * Invariant: one write and one sync are under way at most, and what a client gave is durable when
 * its promise resolves. A growing file grows as a store does: with little to write, zeros are
 * written ahead of it, 1 MiB at a time, so that most commits land on blocks that are initialised;
 * with more it writes past the end.
 */

import fs from 'node:fs';
import { promisify } from 'node:util';
import { FloorFile } from './floor-file.ts';

const datasync = promisify(fs.fdatasync);

/** A batch that writes more does not also write zeros. */
const smallBatchBytes = 256 * 1024;
/** Chunks that Linux takes in one call. */
const chunksMax = 1024;
const zeros = new Uint8Array(1024 * 1024);

interface Waiting {
  readonly values: readonly Uint8Array[];
  resolve(): void;
  reject(error: unknown): void;
}

export class GroupFloor {
  readonly #file: FloorFile;
  readonly #grows: boolean;
  /** Of a growing file: the end of what was written, zeros or other. */
  #writtenEnd = 0;
  #queue: Waiting[] = [];
  #running = false;

  /** Fills `filledBytes` with zeros and stays within; without them the file grows. */
  constructor(path: string, filledBytes = 0) {
    this.#file = new FloorFile(path, filledBytes);
    this.#grows = filledBytes === 0;
  }

  close(): void {
    this.#file.close();
  }

  /** Durable when it resolves. */
  commit(values: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ values, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Those that commit in the same turn share one batch.
    await undefined;
    while (this.#queue.length > 0) {
      const waiting = this.#queue;
      this.#queue = [];
      try {
        this.#write(waiting.flatMap(({ values }) => values));
        await datasync(this.#file.fd);
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        for (const { reject } of waiting) reject(error);
      }
      // So that the clients can commit again, in answer, before the next batch begins.
      for (let hop = 0; hop < 3; hop++) await undefined;
    }
    this.#running = false;
  }

  #write(chunks: readonly Uint8Array[]): void {
    const { fd } = this.#file;
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    const at = this.#file.take(bytes);
    if (this.#grows) this.#fillAhead(at, bytes);
    for (let first = 0, place = at; first < chunks.length; first += chunksMax) {
      const part = chunks.slice(first, first + chunksMax);
      place += fs.writevSync(fd, part, place);
    }
  }

  #fillAhead(at: number, bytes: number): void {
    const end = at + bytes;
    if (end > this.#writtenEnd && bytes <= smallBatchBytes) {
      fs.writeSync(this.#file.fd, zeros, 0, zeros.length, Math.max(at, this.#writtenEnd));
      this.#writtenEnd = Math.max(at, this.#writtenEnd) + zeros.length;
    }
    this.#writtenEnd = Math.max(this.#writtenEnd, end);
  }
}
