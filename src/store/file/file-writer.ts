/**
 * Writes the file of an open store: every write, length and sync of it goes through here.
 *
 * Invariants:
 * - `Space` knows how far the file is written, and whether the disk took each write: it learns of a
 *   full disk from every writer.
 * - The read cache has every write. If one fails, the content of the file is unknown, and the cache
 *   forgets it.
 * - No new length is before the end of a write in flight: it would cut off what was written.
 *
 * It changes no request and keeps no error.
 */

import { systemCode } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import {
  datasync,
  type FileWrite,
  isWrittenNow,
  perform,
  performSync,
  type Steps,
  writeBytes,
  writeNow,
} from './effects.ts';
import type { FileReader } from './file-reader.ts';
import type { Space } from './space.ts';
import { WrittenPages } from './written-pages.ts';
import { ZeroedPages } from './zeroed-pages.ts';

/** Bytes by which the file grows for large writes: a 32nd of it, from 64 KiB to 16 MiB. */
const lengthStepShare = 32;
const lengthStepMin = 64 * 1024;
const lengthStepMax = 16 * 1024 * 1024;

/** Error codes of a full disk or a used-up quota. */
const fullCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/** Keeps bytes of the file in memory, and follows its writes. */
export interface WriteObserver {
  /** These chunks were written at `offset`. */
  written(chunks: readonly Uint8Array[], offset: number): void;
  /** The content of this range is unknown. */
  forget(offset: number, length: number): void;
}

/** Measures the writes and syncs that return. Times are milliseconds from any start. */
export interface WriteMeter {
  now(): number;
  /** `since`: when the write was called. */
  wrote(bytes: number, since: number): void;
  synced(since: number): void;
}

export class FileWriter {
  /** Pages that this process has filled ahead. */
  readonly zeroed = new ZeroedPages();
  /** Pages that have blocks on the disk. */
  readonly known: WrittenPages;
  readonly #reader: FileReader;
  readonly #space: Space;
  readonly #observer: WriteObserver;
  #writesInFlight = 0;
  /** No write in flight ends after this byte of the file. */
  #inFlightEnd = 0;
  #bytesWritten = 0;
  #syncs = 0;
  #meter: WriteMeter | undefined;

  /** `isNew`: the file is as creation has written it. */
  constructor(reader: FileReader, space: Space, observer: WriteObserver, isNew = false) {
    this.known = new WrittenPages(isNew ? 0 : space.frontierPage, space.frontierPage);
    this.#reader = reader;
    this.#space = space;
    this.#observer = observer;
  }

  /** Bytes that the disk took since the store was opened. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Syncs since the store was opened, failed ones included. */
  get syncs(): number {
    return this.#syncs;
  }

  /** Has writes and syncs from now on measured, or no longer. */
  measureBy(meter: WriteMeter | undefined): void {
    this.#meter = meter;
  }

  /** Carries the steps out on the calling thread. */
  performSync<T>(steps: Steps<T>): T {
    return performSync(this.#reader.file, steps);
  }

  /** Carries the steps out without blocking the event loop for long. */
  perform<T>(steps: Steps<T>): Promise<T> {
    return perform(this.#reader.file, steps);
  }

  /** Writes; a write that both performers make on the calling thread is made at once. */
  *write(write: FileWrite): Steps<void> {
    const { offset, chunks } = write;
    const bytes = writeBytes(write);
    if (isWrittenNow(write, bytes)) {
      this.#writeNow(chunks, offset, bytes);
      return;
    }
    const since = this.#meter?.now();
    this.#issued(offset, bytes);
    this.#writesInFlight += 1;
    this.#inFlightEnd = Math.max(this.#inFlightEnd, offset + bytes);
    try {
      yield { kind: 'write', ...write };
    } catch (error) {
      this.#refused(offset, bytes, error);
      throw error;
    } finally {
      this.#writesInFlight -= 1;
      if (this.#writesInFlight === 0) this.#inFlightEnd = 0;
    }
    if (since !== undefined) this.#meter?.wrote(bytes, since);
    this.#returned(offset, bytes, chunks);
  }

  /** As `write`, for a small chunk. Throws the file's error. */
  writeNow(chunk: Uint8Array, offset: number): void {
    this.#writeNow([chunk], offset, chunk.length);
  }

  #writeNow(chunks: readonly Uint8Array[], offset: number, bytes: number): void {
    const since = this.#meter?.now();
    this.#issued(offset, bytes);
    try {
      writeNow(this.#reader.file, chunks, offset);
    } catch (error) {
      this.#refused(offset, bytes, error);
      throw error;
    }
    if (since !== undefined) this.#meter?.wrote(bytes, since);
    this.#returned(offset, bytes, chunks);
  }

  /** A write of these bytes is about to be made. */
  #issued(offset: number, bytes: number): void {
    const endPage = endPageOf(offset, bytes);
    this.#space.reach(endPage);
    this.zeroed.remove(pageOf(offset), endPage);
  }

  #refused(offset: number, bytes: number, error: unknown): void {
    this.#space.refused(pageOf(offset), endPageOf(offset, bytes), isFull(error));
    this.#observer.forget(offset, bytes);
  }

  #returned(offset: number, bytes: number, chunks: readonly Uint8Array[]): void {
    const page = pageOf(offset);
    const endPage = endPageOf(offset, bytes);
    this.#space.written(page, endPage);
    this.known.add(page, endPage);
    this.#observer.written(chunks, offset);
    this.#bytesWritten += bytes;
  }

  *sync(): Steps<void> {
    this.#syncs += 1;
    const since = this.#meter?.now();
    yield datasync;
    if (since !== undefined) this.#meter?.synced(since);
  }

  *truncate(length: number): Steps<void> {
    try {
      yield { kind: 'truncate', length };
    } catch (error) {
      const page = Math.ceil(length / pageBytes);
      this.#space.refused(page, page, isFull(error));
      throw error;
    }
  }

  /**
   * Cuts the file after the last page in use, at most this number of pages. A power cut may leave
   * it as it was.
   */
  *cut(pagesMax = Number.POSITIVE_INFINITY): Steps<void> {
    const pages = Math.ceil(this.#reader.length() / pageBytes);
    const endPage = Math.max(this.#space.endPage, pages - pagesMax);
    yield* this.truncate(endPage * pageBytes);
    this.#space.cut(endPage);
    this.zeroed.cut(endPage);
    this.known.cut(endPage);
  }

  /**
   * Makes the file longer before large writes up to byte `end`: once, with room for later ones.
   * Each new length is more metadata to sync, so the file grows by a share of its size. The new
   * bytes do not count as written.
   */
  *lengthen(end: number): Steps<void> {
    this.#space.reach(Math.ceil(end / pageBytes));
    try {
      if (end <= this.#reader.length()) return;
      const step = Math.min(Math.max(lengthStepMin, end / lengthStepShare), lengthStepMax);
      const length = Math.max(end + step, this.#inFlightEnd);
      yield* this.truncate(Math.ceil(length / pageBytes) * pageBytes);
    } catch {
      // The writes themselves make the file longer, or fail with the reason.
    }
  }
}

function pageOf(offset: number): number {
  return Math.floor(offset / pageBytes);
}

function endPageOf(offset: number, bytes: number): number {
  return Math.ceil((offset + bytes) / pageBytes);
}

function isFull(error: unknown): boolean {
  return fullCodes.has(systemCode(error) ?? '');
}
