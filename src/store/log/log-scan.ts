/**
 * Scans the commit log at opening: finds the records after the settled base, and decides which
 * count. Reads only.
 *
 * A record counts if its batch is at or before the header's `confirmed`, or if its epoch is not
 * older than the header's: a batch that an earlier recovery took back stays away. If one batch has
 * two records, the one with the higher epoch counts. Damage that cannot be a torn last batch is
 * `VARVE_CORRUPT`: a sector that is neither whole nor blank, a gap, a missing confirmed batch.
 */

import { corrupt, isVarveError, type VarveError } from '../../errors.ts';
import type { FileHeader, SegmentExtent } from '../../format/file-header.ts';
import { lanesPerSegment, sectorBytes } from '../../format/layout.ts';
import { assert } from '../../util/assert.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';
import { laneRange } from './commit-log.ts';
import { type FoundRecord, SectorReader } from './record-reader.ts';

/** A record and its segment. */
export interface ScannedRecord extends FoundRecord {
  readonly segment: SegmentExtent;
}

export interface LogScan {
  /** The records after `base` that count: consecutive batches. */
  readonly records: readonly ScannedRecord[];
  /** All records after `base`, whether they count or not. */
  readonly found: readonly ScannedRecord[];
  /** Something was written after `confirmed`: the store was not closed. */
  readonly written: boolean;
  /** Highest epoch in any sector. */
  readonly epochMax: number;
}

/** Sectors read beyond the end of a lane, to find records whose predecessor is damaged. */
const sectorsBeyondEnd = 64;

/**
 * Records whose body the scan keeps for replay, so that it is not read twice. The bound keeps this
 * to some MiB for any length of log.
 */
const bodiesKeptMax = 8192;

/** Throws `VARVE_CORRUPT`, `VARVE_IO`. */
export function* scanLog(file: FileReader, header: FileHeader): Steps<LogScan> {
  const scan = new Scan(file, header);
  for (const { segment, lane } of lanesOf(header)) yield* scan.lane(segment, lane);
  const { gap, ...found } = scan.finish();
  if (gap !== undefined) throw gap;
  return found;
}

/** The result of a scan beside a writer: the records up to the first missing one. */
export interface ScanBesideWriter extends LogScan {
  /** Batch of the last record; the base if there is none. */
  readonly last: number;
  /** The highest batch that counts, even if earlier ones are missing. */
  readonly highest: number;
  /** A sector that is neither whole nor blank: damage, or half written. */
  readonly rotten: VarveError | undefined;
  /** A record that is missing: damage, or written after its place was read. */
  readonly gap: VarveError | undefined;
}

/**
 * As `scanLog`, but it returns damage and does not throw: a writer may be half way through a write.
 */
export function* scanBesideWriter(file: FileReader, header: FileHeader): Steps<ScanBesideWriter> {
  const scan = new Scan(file, header);
  let rotten: VarveError | undefined;
  for (const { segment, lane } of lanesOf(header)) {
    try {
      yield* scan.lane(segment, lane);
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

  *lane(segment: SegmentExtent, lane: number): Steps<void> {
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
    let looked = 0;
    while (at < range.to) {
      if (looked++ % stepsPerPause === 0) yield pause;
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
    yield pause;
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

  /** The consecutive records after the base, and the first missing one. */
  finish(): Omit<ScanBesideWriter, 'rotten'> {
    const { base } = this.#header;
    const counted = [...this.#counted.values()].sort((one, other) => one.batch - other.batch);
    const end = counted.findIndex((record, at) => record.batch !== base + 1 + at);
    const records = end < 0 ? counted : counted.slice(0, end);
    assert(records.length === 0 || records.at(-1)?.batch === base + records.length, 'no gap');
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
      const message = 'a record of the commit log is missing, but a later one exists';
      const offset = this.#placeOf(missing);
      const sides = { expected: missing, actual: following.batch };
      return corrupt(message, { batch: missing, offset, ...sides });
    }
    if (missing > confirmed) return undefined;
    const message = 'the commit log ends before a batch that the file header confirms';
    const offset = this.#placeOf(missing);
    return corrupt(message, { batch: missing, offset, expected: confirmed, actual: missing - 1 });
  }

  /** The expected place of a missing record: after its predecessor in its lane. */
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
