/**
 * Reads one record of the commit log: finds its first sector, collects its body and checks it.
 *
 * Invariant: it returns a body only if every sector is whole and of one batch and epoch, and the
 * body has the CRC in the head. `log-scan.ts` decides whether the record counts (epoch, order).
 */

import { pageBytes, recordHeadBytes, sectorBytes } from '../../format/layout.ts';
import { type LogRecord, LogRecordDecoder } from '../../format/log-record.ts';
import { decodeLogSector, decodeRecordHead, type RecordHead } from '../../format/log-sector.ts';
import { present } from '../../util/assert.ts';
import { crc32 } from '../../util/crc.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';

/** A record whose first sector is whole. */
export interface FoundRecord {
  /** Its first sector in the file. */
  readonly sector: number;
  readonly batch: number;
  readonly epoch: number;
  readonly head: RecordHead;
  /** The body, if the first sector contains all of it: a view of bytes read ahead. */
  readonly body: Uint8Array | undefined;
}

/** A later sector of a record whose first sector is missing. */
export interface RestOfRecord {
  readonly batch: number;
  readonly epoch: number;
  readonly head: undefined;
}

const readAheadSectors = 64;

/** Sectors of one lane, read ahead in pieces. */
export class SectorReader {
  readonly #file: FileReader;
  readonly #aheadSectors: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #first = 0;

  /** `aheadSectors`: sectors per read. */
  constructor(file: FileReader, aheadSectors = readAheadSectors) {
    this.#file = file;
    this.#aheadSectors = aheadSectors;
  }

  /** The bytes of `sector`; reads ahead up to `limit`. Empty beyond the file's end. */
  sector(sector: number, limit: number, fresh = false): Uint8Array {
    return this.#take(sector, 1, fresh, Math.min(this.#aheadSectors, limit - sector));
  }

  /**
   * The bytes of `count` sectors from `sector` on, fewer at the end of the file. Uses bytes read
   * ahead, unless `fresh`.
   */
  run(sector: number, count: number, fresh: boolean): Uint8Array {
    return this.#take(sector, count, fresh, fresh ? count : Math.max(count, this.#aheadSectors));
  }

  /**
   * `count` sectors from the bytes read ahead; if they are not there, or if `fresh`, reads `ahead`
   * sectors.
   */
  #take(sector: number, count: number, fresh: boolean, ahead: number): Uint8Array {
    const at = (sector - this.#first) * sectorBytes;
    const there = at >= 0 && at + count * sectorBytes <= this.#bytes.length;
    if (fresh || !there) this.#read(sector, ahead);
    const from = (sector - this.#first) * sectorBytes;
    return this.#bytes.subarray(from, from + count * sectorBytes);
  }

  #read(sector: number, count: number): void {
    const left = Math.floor(this.#file.length() / sectorBytes) - sector;
    const bytes = new Uint8Array(Math.max(0, Math.min(count, left)) * sectorBytes);
    const read = this.#file.fillUpTo(bytes, sector * sectorBytes);
    this.#first = sector;
    this.#bytes = bytes.subarray(0, read - (read % sectorBytes));
  }

  /**
   * Classifies `sector`: the start of a record (a whole first sector), a later sector of one,
   * `blank`, or `rotten` (none of these).
   */
  look(
    sector: number,
    limit: number,
    fresh = false,
  ): FoundRecord | RestOfRecord | 'blank' | 'rotten' {
    const bytes = this.sector(sector, limit, fresh);
    if (bytes.length < sectorBytes) return 'rotten';
    const found = decodeLogSector(bytes, sector, this.#file.salt);
    if (typeof found === 'string') return found;
    const { batch, epoch } = found;
    if (found.ordinal > 0) return { batch, epoch, head: undefined };
    const head = decodeRecordHead(found.payload);
    if (head === undefined || head.sectors > limit - sector) return 'rotten';
    return { sector, batch, epoch, head, body: bodyWithin(found.payload, head) };
  }
}

function bodyWithin(payload: Uint8Array, head: RecordHead): Uint8Array | undefined {
  const whole = head.extent === undefined && payload.length === recordHeadBytes + head.bodyBytes;
  return whole ? payload.subarray(recordHeadBytes) : undefined;
}

/**
 * The body of a record, or the reason why it is not whole. `sectors` has bytes of its lane that
 * were read ahead, which saves reads. Throws `VARVE_IO`.
 */
export function readBody(
  file: FileReader,
  found: FoundRecord,
  sectors = new SectorReader(file),
): Uint8Array | string {
  let body: Uint8Array | string;
  if (found.body !== undefined) body = found.body;
  else if (found.head.extent !== undefined) body = elsewhere(file, found.head);
  else {
    body = inline(file, found, sectors, false);
    // The bytes read ahead may be older than the record.
    if (typeof body === 'string') body = inline(file, found, sectors, true);
  }
  if (typeof body === 'string') return body;
  if (crc32(body) !== found.head.bodyCrc) return 'the body fails its checksum';
  return body;
}

/** Decodes the body of a record, with pauses. Throws `VARVE_CORRUPT`. */
export function* decodedRecord(body: Uint8Array): Steps<LogRecord> {
  const decoder = new LogRecordDecoder(body, undefined);
  while (!decoder.decode(stepsPerPause)) yield pause;
  return decoder.record;
}

/** The body in the record's own sectors. */
function inline(
  file: FileReader,
  found: FoundRecord,
  sectors: SectorReader,
  fresh: boolean,
): Uint8Array | string {
  const { sector, head } = found;
  const bytes = sectors.run(sector, head.sectors, fresh);
  if (bytes.length < head.sectors * sectorBytes) return 'the file ends within it';
  const parts: Uint8Array[] = [];
  for (let ordinal = 0; ordinal < head.sectors; ordinal++) {
    const part = bytes.subarray(ordinal * sectorBytes, (ordinal + 1) * sectorBytes);
    const whole = decodeLogSector(part, sector + ordinal, file.salt);
    if (typeof whole === 'string') return `sector ${ordinal} is ${whole}`;
    const same = whole.batch === found.batch && whole.epoch === found.epoch;
    if (!same || whole.ordinal !== ordinal) return `sector ${ordinal} is of another record`;
    parts.push(whole.payload);
  }
  const payload = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    payload.set(part, at);
    at += part.length;
  }
  if (payload.length !== recordHeadBytes + head.bodyBytes) return 'the body is cut short';
  return payload.subarray(recordHeadBytes);
}

function elsewhere(file: FileReader, head: RecordHead): Uint8Array | string {
  const { page, pages } = present(head.extent, 'the extent of a body');
  if (head.bodyBytes > pages * pageBytes) return 'the body is longer than its place';
  if (page * pageBytes + head.bodyBytes > file.length()) return 'the file ends within the body';
  return file.bytes(page * pageBytes, head.bodyBytes);
}
