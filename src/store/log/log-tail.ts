/**
 * Follows the commit log of a store that another process may be writing, for readers without the
 * writer's lock. Reads only.
 *
 * Invariant: `follow` reaches a place that was the end of the log at some moment after the call. A
 * change that was durable before the call is in `differences`, or before their `floor`.
 *
 * The end differs from a segment that is used again: before that, both header copies confirm a
 * batch after the segment's last one. A header copy is read after the blank place. If it does not
 * confirm the next batch, the place was still in the log.
 */

import { corrupt, isVarveError } from '../../errors.ts';
import { decodeFileHeader, type FileHeader } from '../../format/file-header.ts';
import { headerCopies, pageBytes, sectorBytes } from '../../format/layout.ts';
import type { LogRecord } from '../../format/log-record.ts';
import { Breather } from '../../util/breather.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';
import { Differences, differencesMax } from './differences.ts';
import { type CursorStart, isSameRecord, LogCursor } from './log-cursor.ts';
import { LogReader } from './log-reader.ts';
import type { FoundRecord } from './record-reader.ts';
import { readRoot } from './settled-root.ts';

/** The position of a reader that has just opened. */
export interface TailStart extends CursorStart {
  readonly header: FileHeader;
  readonly checkpoint: number;
}

/** Reads the retained log from the newest followed batch to the settled base. */
interface Bridge {
  readonly header: FileHeader;
  readonly log: LogReader;
  /** The newest batch at its start. */
  readonly from: number;
}

/** Tries of one call while the writer moves on, before it gives up. */
const triesMax = 30;

/** One pass to the end of the log. Every call may continue it. */
interface Pass {
  readonly number: number;
  readonly steps: Steps<boolean>;
  /** True if it reached the end; undefined while it is under way. */
  reached?: boolean;
  error?: unknown;
}

export class LogTail {
  readonly #file: FileReader;
  readonly differences: Differences;
  #cursor: LogCursor;
  #bridge: Bridge | undefined;
  #newest: number;
  /** The record of the newest batch, if it was followed. */
  #newestRecord: FoundRecord | undefined;
  #checkpoint: number;
  #base: number;
  #confirmed: number;
  /** Counts followed records that were taken back. */
  #era = 0;
  /** The pass under way: at most one, so that no other code moves the tail in its pauses. */
  #pass: Pass | undefined;
  #passes = 0;
  readonly #observers = new Set<(record: LogRecord) => void>();
  /** The reading store is closed. */
  closed = false;

  constructor(file: FileReader, start: TailStart, changesMax?: number) {
    this.#file = file;
    this.#cursor = new LogCursor(file, start);
    this.#newest = start.next - 1;
    this.#newestRecord = start.last;
    this.#checkpoint = start.checkpoint;
    this.#base = start.header.base;
    this.#confirmed = start.header.confirmed;
    this.differences = new Differences(this.#newest, changesMax);
  }

  /** The newest batch that was followed. */
  get newest(): number {
    return this.#newest;
  }

  /** The writer's checkpoint as of the newest batch. */
  get checkpoint(): number {
    return this.#checkpoint;
  }

  /** The newest settled base in any header that was read. */
  get base(): number {
    return this.#base;
  }

  /**
   * Rises when a followed record has been taken back: no state that was opened before can be proven
   * any more, and nothing derived from the record.
   */
  get era(): number {
    return this.#era;
  }

  /**
   * Calls `observer` with the record of each batch that is followed from now on, until the returned
   * function is called. If the log has moved on too far, batches are missing.
   */
  observe(observer: (record: LogRecord) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Follows to the end of the log. False if the writer moves on too fast. Throws `VARVE_IO`. */
  follow(): boolean {
    const before = this.#passes;
    for (;;) {
      const pass = this.#continued();
      while (isUnderWay(pass)) this.#advance(pass);
      if (pass.number > before) return resultOf(pass);
    }
  }

  /**
   * As `follow`, with turns for the event loop. It ends even if the writer commits in each of them.
   */
  async followAsync(breather = Breather.chasing()): Promise<boolean> {
    const before = this.#passes;
    for (;;) {
      const pass = this.#continued();
      while (isUnderWay(pass)) {
        this.#advance(pass);
        if (breather.due) await breather.turn();
        if (this.closed) return false;
      }
      if (pass.number > before) return resultOf(pass);
    }
  }

  /**
   * The pass under way, or a new one. A pass that began before a call may have looked at the end of
   * the log before it: it does not answer the call.
   */
  #continued(): Pass {
    this.#pass ??= { number: ++this.#passes, steps: this.#follow() };
    return this.#pass;
  }

  #advance(pass: Pass): void {
    try {
      const step = pass.steps.next();
      if (step.done !== true) return;
      pass.reached = step.value;
    } catch (error) {
      pass.reached = false;
      pass.error = error;
    }
    this.#pass = undefined;
  }

  *#follow(): Steps<boolean> {
    let tries = 0;
    let doubted = -1;
    for (let looks = 1; tries < triesMax; looks++) {
      if (looks % stepsPerPause === 0) yield pause;
      if (this.#bridge !== undefined) {
        if (!(yield* this.#crossOne(this.#bridge))) tries += 1;
        continue;
      }
      const seen = yield* this.#cursor.look();
      if (!this.#lastIsThere()) {
        this.#takenBack();
        tries += 1;
      } else if (typeof seen !== 'string') {
        this.#cursor.accept(seen);
        yield* this.#take(seen.record, seen.found);
      } else if (seen === 'unclear' && this.#cursor.hasLater()) {
        tries += 1;
        if (tries % 3 === 0) this.#rejoin();
      } else {
        const header = this.#anyHeader();
        if (this.#cursor.learn(header.segments)) continue;
        if (header.confirmed < this.#cursor.next) {
          if (this.#cursor.next > this.#newest) return true;
          this.#takenBack();
          tries += 1;
        }
        // The record may have been written after the look: look once more. If its place is still
        // blank, the record is elsewhere: start again from a header.
        if (doubted === this.#cursor.next) {
          this.#rejoin();
          tries += 1;
        }
        doubted = this.#cursor.next;
      }
    }
    return false;
  }

  /** Adds a record that the cursor or the bridge has passed, if it is new. */
  *#take(record: LogRecord, found: FoundRecord): Steps<void> {
    const known = record.batch === this.#newest ? this.#newestRecord : undefined;
    if (known !== undefined && !isSameRecord(known, found)) {
      // The cursor restarts at the base, and comes to this record again.
      this.#takenBack();
      return;
    }
    if (record.batch <= this.#newest) return;
    yield* this.differences.add(record);
    for (const observer of this.#observers) observer(record);
    this.#newest = record.batch;
    this.#newestRecord = found;
    this.#checkpoint = record.checkpoint;
  }

  /** True if the last followed record is still valid; called after each look at the next one. */
  #lastIsThere(): boolean {
    const { lastBatch } = this.#cursor;
    if (lastBatch === undefined) return true;
    const isConfirmed = this.#confirmed >= lastBatch;
    if (!this.#cursor.isInPlace()) return false;
    // It was confirmed before this look: its batch cannot change any more.
    if (isConfirmed) this.#cursor.lastIsSure();
    return true;
  }

  #takenBack(): void {
    this.#era += 1;
    this.#startAt(this.newestHeader());
  }

  // ── headers ──

  /** Any valid copy of the file header: both have moved on before log space is used again. */
  #anyHeader(): FileHeader {
    for (let tries = 0; tries < triesMax; tries++) {
      for (let copy = 0; copy < headerCopies; copy++) {
        const header = this.#header(copy);
        if (header !== undefined) return header;
      }
    }
    throw corrupt('both copies of the file header are damaged', { offset: 0 });
  }

  #header(copy: number): FileHeader | undefined {
    const sector = new Uint8Array(sectorBytes);
    const read = this.#file.fillUpTo(sector, copy * pageBytes);
    const found = decodeFileHeader(sector.subarray(0, read), copy * pageBytes);
    if (found.state !== 'valid') return undefined;
    this.#base = Math.max(this.#base, found.header.base);
    this.#confirmed = Math.max(this.#confirmed, found.header.confirmed);
    return found.header;
  }

  /** The copy of the file header with the higher generation. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  newestHeader(): FileHeader {
    let newest = this.#anyHeader();
    for (let copy = 0; copy < headerCopies; copy++) {
      const header = this.#header(copy);
      if (header !== undefined && header.generation > newest.generation) newest = header;
    }
    return newest;
  }

  // ── when the log has moved on without it ──

  /**
   * Continues from the newest file header; through the retained log if that has all records in
   * between.
   */
  #rejoin(): void {
    const header = this.newestHeader();
    if (this.#newest >= header.base) this.#cursorAt(header);
    else if (this.#newest < header.checkpoint) this.#startAt(header);
    else if (header.base - this.#newest > differencesMax) this.#startAt(header);
    else {
      try {
        const log = new LogReader(this.#file, readRoot(this.#file, header).root);
        this.#bridge = { header, log, from: this.#newest };
      } catch (error) {
        // The writer replaced it during the read: the next try uses a newer header.
        if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      }
    }
  }

  /** Follows one record of the retained log; false if it is not there any more. */
  *#crossOne({ header, log, from }: Bridge): Steps<boolean> {
    if (this.#newest >= header.base) {
      this.#cursorAt(header);
      return true;
    }
    if (this.differences.floor > from) {
      // The differences have dropped part of the way already: start at the base.
      this.#startAt(header);
      return true;
    }
    try {
      const { record, found } = yield* log.readInSteps(this.#newest + 1);
      yield* this.#take(record, found);
      return true;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      const now = this.newestHeader();
      // The log up to the checkpoint of a settled state may have been reused: start at the newest
      // base.
      this.#startAt(now);
      return false;
    }
  }

  #cursorAt(header: FileHeader): void {
    this.#bridge = undefined;
    const { segments, laneSectors, base } = header;
    const place = { segments, laneSectors, next: base + 1 };
    this.#cursor = new LogCursor(this.#file, { ...place, last: undefined, reverted: undefined });
  }

  /** Starts at the settled base of the header, and drops everything before it. */
  #startAt(header: FileHeader): void {
    this.#newest = header.base;
    this.#newestRecord = undefined;
    this.#checkpoint = header.checkpoint;
    this.differences.reset(header.base);
    this.#cursorAt(header);
  }
}

function isUnderWay(pass: Pass): boolean {
  return pass.reached === undefined;
}

function resultOf({ reached = false, error }: Pass): boolean {
  if (error !== undefined) throw error;
  return reached;
}
