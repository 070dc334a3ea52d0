/**
 * The scan of the commit log at opening: which records there are after the settled base, and which
 * of them count.
 *
 * A record counts when its batch is at or before the header's `confirmed`, or its epoch is not
 * older than the header's: so a batch that an earlier recovery took back stays away. Of two
 * records of one batch the one with the higher epoch counts. Damage that cannot be the tear of the
 * last batch is `VARVE_CORRUPT`: a sector that is neither whole nor blank, a gap, a confirmed
 * batch that is missing. Reads only.
 */

import { corrupt, isVarveError, type VarveError } from '../../errors.ts';
import type { FileHeader, SegmentExtent } from '../../format/file-header.ts';
import { lanesPerSegment, sectorBytes } from '../../format/layout.ts';
import type { FileReader } from '../file/file-reader.ts';
import { laneRange } from './commit-log.ts';
import { type FoundRecord, SectorReader } from './record-reader.ts';

/** A record that counts, and the segment that it is in. */
export interface ScannedRecord extends FoundRecord {
  readonly segment: SegmentExtent;
}

export interface LogScan {
  /** The records after `base` that count: consecutive batches. */
  readonly records: readonly ScannedRecord[];
  /** Every record after `base`, whether or not it counts. */
  readonly found: readonly ScannedRecord[];
  /** Something was written after `confirmed`: the store was not closed. */
  readonly written: boolean;
  /** Highest epoch in any sector. */
  readonly epochMax: number;
}

/**
 * Sectors that are looked at after the end of a lane, for records that have lost the one before.
 */
const sectorsBeyondEnd = 64;

/**
 * Records whose body is kept from the scan, so that replay does not read it again: some MiB at
 * most, however long the log is that was left to be replayed.
 */
const bodiesKeptMax = 8192;

/** Throws `VARVE_CORRUPT`, `VARVE_IO`. */
export function scanLog(file: FileReader, header: FileHeader): LogScan {
  const scan = new Scan(file, header);
  for (const { segment, lane } of lanesOf(header)) scan.lane(segment, lane);
  const { gap, ...found } = scan.finish();
  if (gap !== undefined) throw gap;
  return found;
}

/** What a scan finds while a writer may be writing the log: up to the first record that is gone. */
export interface ScanBesideWriter extends LogScan {
  /** Batch of the last of the records: the base where there is none. */
  readonly last: number;
  /** The highest batch that counts, whether or not those before it are there. */
  readonly highest: number;
  /** A sector that is neither whole nor blank: damage, or a write under way. */
  readonly rotten: VarveError | undefined;
  /** A record that is missing: damage, or written after its place was read. */
  readonly gap: VarveError | undefined;
}

/** As `scanLog`, but damage is told, not thrown: it may be what a writer has only half done. */
export function scanBesideWriter(file: FileReader, header: FileHeader): ScanBesideWriter {
  const scan = new Scan(file, header);
  let rotten: VarveError | undefined;
  for (const { segment, lane } of lanesOf(header)) {
    try {
      scan.lane(segment, lane);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      rotten ??= error;
    }
  }
  return { ...scan.finish(), rotten };
}

function* lanesOf(header: FileHeader): Generator<{ segment: SegmentExtent; lane: number }> {
  for (const segment of header.segments) {
    for (let lane = 0; lane < lanesPerSegment; lane++) yield { segment, lane };
  }
}

class Scan {
  readonly #file: FileReader;
  readonly #header: FileHeader;
  readonly #found: ScannedRecord[] = [];
  readonly #counted = new Map<number, ScannedRecord>();
  #written = false;
  #epochMax = 0;

  constructor(file: FileReader, header: FileHeader) {
    this.#file = file;
    this.#header = header;
  }

  lane(segment: SegmentExtent, lane: number): void {
    const range = laneRange(segment, lane);
    const start = this.#header.laneSectors[lane] as number;
    const inside = start >= range.from && start <= range.to;
    const first = segment === this.#header.segments[0];
    if (first && !inside) {
      throw corrupt('the file header names a log position outside its segment', {
        offset: start * sectorBytes,
      });
    }
    const sectors = new SectorReader(this.#file);
    let at = first ? start : range.from;
    while (at < range.to) {
      const found = sectors.look(at, range.to);
      if (found === 'rotten') {
        const offset = at * sectorBytes;
        throw corrupt('a sector of the commit log is neither whole nor blank', { offset });
      }
      if (found === 'blank') break;
      this.#see(found.batch, found.epoch);
      if (found.head === undefined) break;
      this.#count(found, segment);
      at += found.head.sectors;
    }
    const end = Math.min(range.to, at + sectorsBeyondEnd);
    for (let beyond = at; beyond < end; beyond++) {
      const found = sectors.look(beyond, range.to);
      if (typeof found === 'string') continue;
      this.#see(found.batch, found.epoch);
      if (found.head !== undefined) this.#count(found, segment);
    }
  }

  #see(batch: number, epoch: number): void {
    this.#epochMax = Math.max(this.#epochMax, epoch);
    if (batch > this.#header.confirmed && epoch >= this.#header.epoch) this.#written = true;
  }

  #count(found: FoundRecord, segment: SegmentExtent): void {
    const { base, confirmed, epoch } = this.#header;
    if (found.batch <= base) return;
    const { sector, batch, head } = found;
    const body = this.#found.length < bodiesKeptMax ? found.body : undefined;
    const record = { sector, batch, epoch: found.epoch, head, body, segment };
    this.#found.push(record);
    if (record.batch > confirmed && record.epoch < epoch) return;
    const other = this.#counted.get(record.batch);
    if (other === undefined || other.epoch < record.epoch) this.#counted.set(record.batch, record);
  }

  /** The consecutive records after the base, and the one that is missing. */
  finish(): Omit<ScanBesideWriter, 'rotten'> {
    const { base } = this.#header;
    const counted = [...this.#counted.values()].sort((one, other) => one.batch - other.batch);
    const end = counted.findIndex((record, at) => record.batch !== base + 1 + at);
    const records = end < 0 ? counted : counted.slice(0, end);
    return {
      records,
      found: this.#found,
      written: this.#written,
      epochMax: this.#epochMax,
      last: base + records.length,
      highest: counted.at(-1)?.batch ?? base,
      gap: this.#gap(base + records.length + 1, counted[records.length]),
    };
  }

  #gap(missing: number, following: ScannedRecord | undefined): VarveError | undefined {
    const { confirmed } = this.#header;
    if (following !== undefined) {
      const message = 'a record of the commit log is gone, and a later one is there';
      const offset = this.#placeOf(missing);
      const sides = { expected: missing, actual: following.batch };
      return corrupt(message, { batch: missing, offset, ...sides });
    }
    if (missing > confirmed) return undefined;
    const message = 'the commit log ends before a batch that the file header confirms';
    const offset = this.#placeOf(missing);
    return corrupt(message, { batch: missing, offset, expected: confirmed, actual: missing - 1 });
  }

  /** Where a record that was not found should be: after the one before it in its lane. */
  #placeOf(batch: number): number {
    const { segments, laneSectors } = this.#header;
    const lane = batch % lanesPerSegment;
    const segment = this.#counted.get(batch - 1)?.segment ?? (segments[0] as SegmentExtent);
    const before = this.#counted.get(batch - lanesPerSegment);
    const { from, to } = laneRange(segment, lane);
    let sector = segment === segments[0] ? (laneSectors[lane] as number) : from;
    if (before?.segment === segment) sector = before.sector + before.head.sectors;
    const next = segments[segments.indexOf(segment) + 1];
    if (sector >= to && next !== undefined) sector = laneRange(next, lane).from;
    return sector * sectorBytes;
  }
}
