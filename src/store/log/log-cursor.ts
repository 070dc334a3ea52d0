/**
 * A position in a commit log that a writer may be extending: the place of the next batch's record,
 * in the current segment or the next one.
 *
 * Invariant: it returns a record only if it is whole, of the next batch, and in its place. A record
 * that is half written is not returned. `log-tail.ts` decides whether the place still belongs to
 * the log: a segment is used again after a checkpoint and a settle.
 */

import type { SegmentExtent } from '../../format/file-header.ts';
import { lanesPerSegment } from '../../format/layout.ts';
import type { LogRecord } from '../../format/log-record.ts';
import { assert } from '../../util/assert.ts';
import type { Steps } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';
import { laneRange } from './commit-log.ts';
import { decodedRecord, type FoundRecord, readBody, SectorReader } from './record-reader.ts';

/** The record of the next batch, and the index of its segment. */
export interface NextRecord {
  readonly record: LogRecord;
  readonly found: FoundRecord;
  readonly segmentIndex: number;
}

/**
 * The next record; `none`: its place is blank; `unclear`: its place has something else than a whole
 * record of that batch.
 */
export type Look = NextRecord | 'none' | 'unclear';

export interface CursorStart {
  /** The segment of the next record, if it has room, and those after it. */
  readonly segments: readonly SegmentExtent[];
  /** Sector after the last record in each lane of the first of these segments. */
  readonly laneSectors: readonly [number, number];
  /** The batch whose record comes next. */
  readonly next: number;
  /** The record before the next one, if it is after the settled base. */
  readonly last: FoundRecord | undefined;
  /** A record of the next batch that opening took back: it counts only if another follows it. */
  readonly reverted: FoundRecord | undefined;
}

export class LogCursor {
  readonly #file: FileReader;
  #segments: readonly SegmentExtent[];
  #laneSectors: [number, number];
  #next: number;
  #last: FoundRecord | undefined;
  #reverted: FoundRecord | undefined;

  constructor(file: FileReader, start: CursorStart) {
    this.#file = file;
    this.#segments = start.segments;
    this.#laneSectors = [...start.laneSectors];
    this.#next = start.next;
    this.#last = start.last;
    this.#reverted = start.reverted;
  }

  /** The batch whose record comes next. */
  get next(): number {
    return this.#next;
  }

  /**
   * Reads the place of the next record from the file, and then pauses while it decodes the record.
   * Throws `VARVE_IO`.
   */
  *look(): Steps<Look> {
    let nothing: 'none' | 'unclear' = 'none';
    for (const { segmentIndex, sector, limit } of this.#placesOf(this.#next)) {
      const found = new SectorReader(this.#file, 1).look(sector, limit, true);
      if (found === 'blank') continue;
      nothing = 'unclear';
      if (found === 'rotten' || found.head === undefined || found.batch !== this.#next) continue;
      if (this.#reverted !== undefined && isSameRecord(found, this.#reverted)) continue;
      const record = yield* this.#wholeRecord(found);
      if (record !== undefined) return { record, found, segmentIndex };
    }
    return nothing;
  }

  *#wholeRecord(found: FoundRecord): Steps<LogRecord | undefined> {
    const body = readBody(this.#file, found, new SectorReader(this.#file, 1));
    if (typeof body === 'string') return undefined;
    const record = yield* decodedRecord(body);
    return record.batch === found.batch ? record : undefined;
  }

  /** The places where the record of `batch`, the next or the one after it, may begin. */
  *#placesOf(batch: number): Generator<{ segmentIndex: number; sector: number; limit: number }> {
    const lane = batch % lanesPerSegment;
    const [current, following] = this.#segments;
    if (current === undefined) return;
    const { to } = laneRange(current, lane);
    const sector = this.#laneSectors[lane] as number;
    if (sector < to) yield { segmentIndex: 0, sector, limit: to };
    // A compaction leaves a segment that has room.
    if (following === undefined) return;
    const range = laneRange(following, lane);
    yield { segmentIndex: 1, sector: range.from, limit: range.to };
  }

  /** True if the record after the next one is in its place. Throws `VARVE_IO`. */
  hasLater(): boolean {
    for (const { sector, limit } of this.#placesOf(this.#next + 1)) {
      const found = new SectorReader(this.#file, 1).look(sector, limit, true);
      if (typeof found !== 'string' && found.batch > this.#next) {
        this.#reverted = undefined;
        return true;
      }
    }
    return false;
  }

  /**
   * True if the record before the next one is still there. If the disk refused a record, its batch
   * is taken back, and another one gets the number. Throws `VARVE_IO`.
   */
  isInPlace(): boolean {
    const last = this.#last;
    if (last === undefined) return true;
    const limit = last.sector + last.head.sectors;
    const found = new SectorReader(this.#file, 1).look(last.sector, limit, true);
    return typeof found !== 'string' && found.head !== undefined && isSameRecord(found, last);
  }

  /** The batch of the last record is durable: the record need not be checked again. */
  lastIsSure(): void {
    this.#last = undefined;
  }

  get lastBatch(): number | undefined {
    return this.#last?.batch;
  }

  /** Moves past the record. */
  accept({ found, segmentIndex }: NextRecord): void {
    assert(found.batch === this.#next, 'records are followed without a gap');
    if (segmentIndex > 0) {
      this.#segments = this.#segments.slice(segmentIndex);
      const current = this.#segments[0] as SegmentExtent;
      this.#laneSectors = [laneRange(current, 0).from, laneRange(current, 1).from];
    }
    this.#laneSectors[found.batch % lanesPerSegment] = found.sector + found.head.sectors;
    this.#last = found;
    this.#reverted = undefined;
    this.#next += 1;
  }

  /** Learns the following segments from a file header; returns true if one of them is new. */
  learn(listed: readonly SegmentExtent[]): boolean {
    const [current] = this.#segments;
    const at = listed.findIndex(
      ({ page, pages }) => page === current?.page && pages === current.pages,
    );
    if (at < 0 || listed.length - at <= this.#segments.length) return false;
    this.#segments = listed.slice(at);
    return true;
  }
}

/** True if both are the same record, not two attempts at one batch. */
export function isSameRecord(one: FoundRecord, other: FoundRecord): boolean {
  const { sector, batch, epoch, head } = one;
  if (sector !== other.sector || batch !== other.batch || epoch !== other.epoch) return false;
  return head.bodyCrc === other.head.bodyCrc && head.bodyBytes === other.head.bodyBytes;
}
