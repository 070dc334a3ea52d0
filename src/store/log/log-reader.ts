/**
 * Reads the retained commit log, batch by batch, while the store is open.
 *
 * Requires: each batch is published and after the checkpoint. Therefore a record that is not whole
 * is `VARVE_CORRUPT`. Opening has its own scan (`log-scan.ts`).
 */

import { corrupt } from '../../errors.ts';
import { lanesPerSegment, sectorBytes } from '../../format/layout.ts';
import type { LogRecord } from '../../format/log-record.ts';
import { inOneGo, type Steps } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';
import { type LogSegment, laneRange } from './commit-log.ts';
import {
  decodedRecord,
  type FoundRecord,
  type RestOfRecord,
  readBody,
  SectorReader,
} from './record-reader.ts';

export interface ReadRecord {
  readonly record: LogRecord;
  readonly found: FoundRecord;
}

interface LaneCursor {
  readonly sectors: SectorReader;
  segment: LogSegment | undefined;
  /** Sector after the last record that was read. */
  sector: number;
}

/** Reads records of ascending batches. */
export class LogReader {
  readonly #file: FileReader;
  readonly #log: { readonly segments: readonly LogSegment[] };
  readonly #lanes: readonly LaneCursor[];

  constructor(file: FileReader, log: { readonly segments: readonly LogSegment[] }) {
    this.#file = file;
    this.#log = log;
    this.#lanes = Array.from({ length: lanesPerSegment }, () => ({
      sectors: new SectorReader(file),
      segment: undefined,
      sector: 0,
    }));
  }

  /** The record of `batch` and its place. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  read(batch: number): ReadRecord {
    return inOneGo(this.readInSteps(batch));
  }

  /** As `read`, with pauses. */
  *readInSteps(batch: number): Steps<ReadRecord> {
    const found = this.#find(batch);
    const lane = this.#lanes[batch % lanesPerSegment] as LaneCursor;
    const body = this.#body(found, lane);
    const offset = found.sector * sectorBytes;
    if (typeof body === 'string') {
      throw corrupt(`the record of batch ${batch} is damaged: ${body}`, { batch, offset });
    }
    const record = yield* decodedRecord(body);
    if (record.batch !== batch) {
      throw corrupt('a commit log record names another batch', {
        batch,
        offset,
        expected: batch,
        actual: record.batch,
      });
    }
    return { record, found };
  }

  #body(found: FoundRecord, lane: LaneCursor): Uint8Array | string {
    try {
      return readBody(this.#file, found, lane.sectors);
    } catch (error) {
      // The next read of this batch finds its record again.
      lane.sector = found.sector;
      throw error;
    }
  }

  #find(batch: number): FoundRecord {
    const segment = this.#segmentOf(batch);
    const cursor = this.#lanes[batch % lanesPerSegment] as LaneCursor;
    const range = laneRange(segment, batch % lanesPerSegment);
    if (cursor.segment !== segment) {
      cursor.segment = segment;
      cursor.sector = range.from;
    }
    // A segment may claim to be longer than the file.
    const end = Math.min(range.to, Math.floor(this.#file.length() / sectorBytes));
    let gone: number | undefined;
    while (cursor.sector < end) {
      let found = cursor.sectors.look(cursor.sector, range.to);
      const isStale = gone === undefined && !isRecordUpTo(found, batch);
      // The bytes read ahead may be older than the record.
      if (isStale) found = cursor.sectors.look(cursor.sector, range.to, true);
      if (isRecordUpTo(found, batch)) {
        cursor.sector += found.head.sectors;
        if (found.batch === batch) return found;
      } else if (isRecordUpTo(found, Number.POSITIVE_INFINITY)) break;
      else {
        // Records up to the checkpoint are not needed: a damaged one is skipped.
        gone ??= cursor.sector;
        cursor.sector += 1;
      }
    }
    const offset = (gone ?? cursor.sector) * sectorBytes;
    throw corrupt(`the record of batch ${batch} is not where it was written`, { batch, offset });
  }

  #segmentOf(batch: number): LogSegment {
    const { segments } = this.#log;
    for (let at = segments.length - 1; at >= 0; at--) {
      const segment = segments[at] as LogSegment;
      if (segment.firstBatch > 0 && segment.firstBatch <= batch) return segment;
    }
    throw corrupt(`no segment of the commit log has batch ${batch}`, { batch });
  }
}

function isRecordUpTo(
  found: FoundRecord | RestOfRecord | string,
  batch: number,
): found is FoundRecord {
  return typeof found !== 'string' && found.head !== undefined && found.batch <= batch;
}
