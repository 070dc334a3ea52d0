/**
 * The records of the commit log that a scan has found: which of them count, and their bodies.
 *
 * Invariants:
 * - For each batch the record with the highest epoch counts, if it is whole; copies of it may be in
 *   several places. A record of an older epoch than one of an earlier batch was taken back. So was
 *   one after the batch that the header confirms, if its epoch is below the header's.
 * - 24 bytes are kept of a record. Bodies are read when they are needed.
 */

import { logPayloadBytes, pageBytes, recordHeadBytes, sectorBytes } from '../../format/layout.ts';
import { type LogRecord, LogRecordDecoder } from '../../format/log-record.ts';
import { decodeLogSector, decodeRecordHead } from '../../format/log-sector.ts';
import { crc32 } from '../../util/crc.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { AheadReader, type DamagedFile, unlessCorrupt } from './damaged-file.ts';

export interface RecordPlace {
  readonly sector: number;
  readonly batch: number;
  readonly epoch: number;
}

/** The batch up to which the log is confirmed, and the epoch of later records, at least. */
export interface LogBounds {
  readonly confirmed: number;
  readonly epoch: number;
}

/** Bytes read ahead in each lane. */
const aheadBytes = 128 * 1024;
/** Operations decoded between two looks at the clock. */
const operationsPerStep = 64;

export class FoundRecords {
  readonly #sectors: number[] = [];
  readonly #batches: number[] = [];
  readonly #epochs: number[] = [];
  #salt: Uint8Array = new Uint8Array(0);

  add({ sector, batch, epoch }: RecordPlace, salt: Uint8Array): void {
    this.#sectors.push(sector);
    this.#batches.push(batch);
    this.#epochs.push(epoch);
    this.#salt = salt;
  }

  get size(): number {
    return this.#sectors.length;
  }

  get salt(): Uint8Array {
    return this.#salt;
  }

  /** The places of the records that may count, by batch; several for one batch are alike. */
  counted(bounds: LogBounds | undefined): RecordPlace[] {
    const order = Uint32Array.from(this.#sectors.keys()).sort((one, other) => {
      const batches = (this.#batches[one] as number) - (this.#batches[other] as number);
      return batches || (this.#epochs[other] as number) - (this.#epochs[one] as number);
    });
    const counted: RecordPlace[] = [];
    let epochBefore = 0;
    for (const at of order) {
      const sector = this.#sectors[at] as number;
      const batch = this.#batches[at] as number;
      const epoch = this.#epochs[at] as number;
      if (bounds !== undefined && batch > bounds.confirmed && epoch < bounds.epoch) continue;
      const last = counted.at(-1);
      if (epoch < epochBefore || (last?.batch === batch && last.epoch > epoch)) continue;
      epochBefore = epoch;
      counted.push({ sector, batch, epoch });
    }
    return counted;
  }
}

/** Reads records of the log, mostly in the order of their batches. */
export class RecordBodies {
  readonly #file: DamagedFile;
  readonly #salt: Uint8Array;
  readonly #lanes: readonly [AheadReader, AheadReader];

  constructor(file: DamagedFile, salt: Uint8Array) {
    this.#file = file;
    this.#salt = salt;
    this.#lanes = [new AheadReader(file, aheadBytes), new AheadReader(file, aheadBytes)];
  }

  /** The record, decoded; undefined if it is not whole. */
  async read(place: RecordPlace, operation: RunningOperation): Promise<LogRecord | undefined> {
    const body = await this.#body(place);
    if (body === undefined) return undefined;
    const decoder = unlessCorrupt(() => new LogRecordDecoder(body, undefined));
    if (decoder?.record.batch !== place.batch) return undefined;
    for (;;) {
      const isDone = unlessCorrupt(() => decoder.decode(operationsPerStep));
      if (isDone === undefined) return undefined;
      if (isDone) return decoder.record;
      await operation.breathe();
    }
  }

  async #body(place: RecordPlace): Promise<Uint8Array | undefined> {
    const first = await this.#sector(place, 0);
    const head = first === undefined ? undefined : decodeRecordHead(first);
    if (first === undefined || head === undefined) return undefined;
    const { bodyBytes, bodyCrc, sectors, extent } = head;
    const room = extent === undefined ? sectors * logPayloadBytes : extent.pages * pageBytes;
    if (bodyBytes > Math.min(room, this.#file.length)) return undefined;
    let body: Uint8Array;
    if (extent === undefined) {
      const payload = new Uint8Array(recordHeadBytes + bodyBytes);
      let at = 0;
      for (let ordinal = 0; ordinal < sectors; ordinal++) {
        const part = await this.#sector(place, ordinal);
        if (part === undefined || at + part.length > payload.length) return undefined;
        payload.set(part, at);
        at += part.length;
      }
      if (at !== payload.length) return undefined;
      body = payload.subarray(recordHeadBytes);
    } else {
      body = new Uint8Array(bodyBytes);
      await this.#file.fill(body, extent.page * pageBytes);
    }
    return crc32(body) === bodyCrc ? body : undefined;
  }

  /** The payload of one of its sectors; undefined if that is not whole, or not of the record. */
  async #sector(place: RecordPlace, ordinal: number): Promise<Uint8Array | undefined> {
    const number = place.sector + ordinal;
    const lane = this.#lanes[(place.batch % 2) as 0 | 1];
    const bytes = await lane.read(number * sectorBytes, sectorBytes);
    const sector = decodeLogSector(bytes, number, this.#salt);
    if (typeof sector === 'string' || sector.ordinal !== ordinal) return undefined;
    if (sector.batch !== place.batch || sector.epoch !== place.epoch) return undefined;
    return sector.payload;
  }
}
