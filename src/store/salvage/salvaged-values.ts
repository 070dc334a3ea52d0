/**
 * The values of a damaged file for the copier: those that the check has found whole, in their
 * grains or in a record of the log.
 *
 * Invariant: a value that has changed since it was checked is `VARVE_CORRUPT`, never copied. It
 * decides nothing about which values are copied.
 */

import { corrupt } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import { valuePrefixBytes } from '../../format/layout.ts';
import type { LogOperation, LogRecord } from '../../format/log-record.ts';
import { encodeValuePrefix } from '../../format/value.ts';
import { present } from '../../util/assert.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { SourceStratum } from '../backup/backup-source.ts';
import {
  type PieceBuffers,
  placeOf,
  readInPieces,
  type SourceValue,
  type TakePiece,
  type ValuesToCopy,
} from '../backup/source-values.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { DamagedFile } from './damaged-file.ts';
import type { RecordBodies, RecordPlace } from './found-records.ts';
import type { KnownMap } from './known-strata.ts';
import type { KnownStore } from './remains.ts';

type Carried = Extract<LogOperation, { operation: 'allocate' }>;

interface Parts {
  readonly file: DamagedFile;
  readonly known: KnownStore;
  readonly bodies: RecordBodies;
  /** By the offset of their grains: values whose bytes the log has. */
  readonly fromLog: ReadonlyMap<number, RecordPlace>;
  readonly operation: RunningOperation;
}

export class SalvagedValues implements ValuesToCopy {
  readonly #parts: Parts;
  /** The record that was read last, and its carried values by name. */
  #last: { readonly place: RecordPlace; readonly values: ReadonlyMap<string, Carried> } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  mapOf({ basin, number }: SourceStratum, index: number): GrainMap {
    const maps = this.#parts.known.strata.find(basin, number)?.maps ?? [];
    let low = 0;
    let high = maps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((maps[middle] as KnownMap).map.firstIndex <= index) low = middle + 1;
      else high = middle;
    }
    return present(maps[low - 1], 'the map of a value that is copied').map;
  }

  isTrusted(offset: number): boolean {
    return !this.#parts.fromLog.has(offset);
  }

  async read(target: Uint8Array, offset: number): Promise<void> {
    await this.#parts.file.fill(target, offset);
  }

  async copyAlone(value: SourceValue, buffers: PieceBuffers, take: TakePiece): Promise<number> {
    const place = placeOf(this.mapOf(value.stratum, value.index), value);
    const record = this.#parts.fromLog.get(place.offset);
    if (record === undefined) return await readInPieces(this, place, buffers, take);
    const { bytes, crc } = await this.#carried(record, value);
    if (bytes === undefined) throw changed(value);
    const grains = new Uint8Array(place.capacity);
    encodeValuePrefix(grains, bytes.length, crc);
    grains.set(bytes, valuePrefixBytes);
    await take(grains, 0);
    return bytes.length;
  }

  async #carried(place: RecordPlace, { stratum, index }: SourceValue): Promise<Carried> {
    if (this.#last?.place !== place) {
      const record = await this.#parts.bodies.read(place, this.#parts.operation);
      this.#last = { place, values: carriedIn(record) };
    }
    const found = this.#last.values.get(`${stratum.basin}-${stratum.number}-${index}`);
    if (found === undefined) throw changed({ stratum, index });
    return found;
  }

  async explained(error: unknown): Promise<unknown> {
    return error;
  }
}

function carriedIn(record: LogRecord | undefined): Map<string, Carried> {
  const values = new Map<string, Carried>();
  for (const one of record?.operations ?? []) {
    if (one.operation !== 'allocate' || one.bytes === undefined) continue;
    values.set(`${one.basin}-${one.stratum}-${one.index}`, one);
  }
  return values;
}

function changed({ stratum, index }: Pick<SourceValue, 'stratum' | 'index'>) {
  const grainId = joinGrainId(stratum.basin, stratum.number, index);
  return corrupt('a value has changed since it was checked', { grainId });
}
