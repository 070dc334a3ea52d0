/**
 * Replay: applies the records of the commit log after the settled base to the Atlas, and judges the
 * last one. Changes memory only.
 *
 * Invariant: a record is applied only to structures whose stamp is before its batch. Only the last
 * record, if the header does not confirm it, can be of a batch that was never acknowledged. It is
 * kept if its body is whole and the file has each value that it allocated and does not carry, with
 * the length and CRC of the record. Otherwise it is taken back. If the header confirms it, a body
 * that is not whole is `VARVE_CORRUPT`, and a value that differs from the record is lost alone.
 *
 * It pauses every few values: no other code has the store before it is open.
 */

import { corrupt } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import { placementIsSound } from '../../format/grain-map.ts';
import {
  grainExpMax,
  grainExpMin,
  grainIndexLimit,
  grainsPerMarkPage,
  lanesPerSegment,
  markPagesMax,
  sectorBytes,
  valuePrefixBytes,
} from '../../format/layout.ts';
import type { AddedMap, GrainRun, LogRecord, ReplacedMap } from '../../format/log-record.ts';
import { encodeValue } from '../../format/value.ts';
import { assert } from '../../util/assert.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { type FileReader, ReadAhead } from '../file/file-reader.ts';
import type { Atlas } from '../grains/atlas.ts';
import { GrainMap, newMapEntry } from '../grains/grain-map.ts';
import type { Stratum } from '../grains/stratum.ts';
import type { ScannedRecord } from '../log/log-scan.ts';
import { decodedRecord, readBody, SectorReader } from '../log/record-reader.ts';
import { replaceMap } from '../moves/map-moves.ts';
import { type ValuePlace, valuePlace } from '../values/value-place.ts';
import type { ValueReader } from '../values/value-reader.ts';

/**
 * Longer padding of a carried value is not taken into memory: a record of a few bytes may name
 * grains of gigabytes. With its padding, a value is one write with its neighbour.
 */
const paddingMax = 64;

/** A record that was kept. */
export interface KeptRecord {
  readonly found: ScannedRecord;
  readonly record: LogRecord;
}

export interface Replayed {
  readonly last: KeptRecord | undefined;
  readonly reverted: ScannedRecord | undefined;
}

/** The parts of the store that replay needs. */
export interface ReplayParts {
  readonly reader: FileReader;
  readonly values: ValueReader;
  readonly atlas: Atlas;
  /** The root names all basins of batches up to this one. */
  readonly rootStamp: number;
}

/** Applies `records`; calls `kept` for each that is kept. */
export function* replayLog(
  parts: ReplayParts,
  records: readonly ScannedRecord[],
  confirmed: number,
  kept: (record: KeptRecord) => void,
): Steps<Replayed> {
  let last: KeptRecord | undefined;
  const lanes = Array.from({ length: lanesPerSegment }, () => new SectorReader(parts.reader));
  for (const [at, found] of records.entries()) {
    const record = yield* readRecord(parts, found, lanes[found.batch % lanesPerSegment]);
    const isLast = at === records.length - 1;
    const isConfirmed = found.batch <= confirmed;
    if (typeof record === 'string') {
      if (isLast && !isConfirmed) return { last, reverted: found };
      const { batch } = found;
      const offset = found.sector * sectorBytes;
      throw corrupt(`batch ${batch} was durable and is damaged: ${record}`, { batch, offset });
    }
    const torn = isLast ? yield* tornValues(parts, record, isConfirmed) : [];
    if (torn.length > 0 && !isConfirmed) return { last, reverted: found };
    assert(
      found.batch === (last?.found.batch ?? found.batch - 1) + 1,
      'batches are replayed in order',
    );
    yield* applyRecord(parts, record);
    yield* takeCarried(parts, record);
    for (const { offset } of torn) parts.values.distrust(offset);
    last = { found, record };
    kept(last);
  }
  return { last, reverted: undefined };
}

/** The record, or the reason why it is not whole. */
function* readRecord(
  parts: ReplayParts,
  found: ScannedRecord,
  lane: SectorReader | undefined,
): Steps<LogRecord | string> {
  const body = readBody(parts.reader, found, lane);
  if (typeof body === 'string') return body;
  const record = yield* decodedRecord(body);
  if (record.batch !== found.batch) return `it is of batch ${record.batch}`;
  return record.checkpoint < record.batch ? record : `its checkpoint is ${record.checkpoint}`;
}

/**
 * Takes the values that the record carries into memory, and forgets those that it frees. No stamp
 * of a structure changes that: the grains may not have these bytes yet. Throws `VARVE_CORRUPT`.
 */
function* takeCarried({ atlas, values }: ReplayParts, record: LogRecord): Steps<void> {
  const { batch } = record;
  let looked = 0;
  for (const one of record.operations) {
    if (looked++ % stepsPerPause === 0) yield pause;
    if (one.operation !== 'allocate' && one.operation !== 'free') continue;
    const map = atlas.stratum(one.basin, one.stratum)?.mapWith(one.index);
    // A later record drops the map, after all of its values were freed.
    if (map === undefined) continue;
    const offset = map.grainOffset(one.index);
    values.freed(offset);
    if (one.operation === 'allocate' && one.bytes !== undefined) {
      const capacity = one.count * 2 ** map.grainExp;
      const needed = valuePrefixBytes + one.length;
      if (map.spread || needed > capacity) {
        const grainId = joinGrainId(one.basin, one.stratum, one.index);
        const facts = { batch, grainId, expected: capacity, actual: needed };
        throw corrupt('the commit log carries a value that does not fit its grains', facts);
      }
      const grains = new Uint8Array(capacity - needed < paddingMax ? capacity : needed);
      encodeValue(grains, one.bytes, one.crc);
      values.carry(batch, offset, grains);
    }
  }
}

/** Values of the record that differ in the file: all, or only the first. */
function* tornValues(
  parts: ReplayParts,
  record: LogRecord,
  all: boolean,
): Steps<readonly ValuePlace[]> {
  const ahead = new ReadAhead(parts.reader);
  const torn: ValuePlace[] = [];
  let looked = 0;
  for (const { run, crc, place } of valuesOf(parts.atlas, record)) {
    if (looked++ % stepsPerPause === 0) yield pause;
    const found = parts.values.measure(place, ahead);
    const whole = found?.length === run.length && found.computed === crc && found.stored === crc;
    if (whole) continue;
    torn.push(place);
    if (!all) break;
  }
  return torn;
}

/**
 * The values that a record allocated and does not carry, and their places, whether it has been
 * applied or not.
 */
export function* valuesOf(
  atlas: Atlas,
  record: LogRecord,
): Generator<{ run: GrainRun; crc: number; place: ValuePlace }> {
  for (const operation of record.operations) {
    if (operation.operation !== 'allocate' || operation.bytes !== undefined) continue;
    const place = placeIn(atlas, record, operation);
    if (place === undefined) {
      throw corrupt('the commit log names grains that no map has', { batch: record.batch });
    }
    yield { run: operation, crc: operation.crc, place };
  }
}

function placeIn(atlas: Atlas, record: LogRecord, run: GrainRun): ValuePlace | undefined {
  const grainExp = grainExpOf(atlas, record, run);
  if (grainExp === undefined) return undefined;
  const spot = atlas.stratum(run.basin, run.stratum)?.find(run.index);
  if (spot !== undefined) return valuePlace(run, spot.map, run.count);
  for (const added of record.operations) {
    if (added.operation !== 'add-map') continue;
    if (added.basin !== run.basin || added.stratum !== run.stratum) continue;
    const within = run.index - added.firstIndex;
    if (within < 0 || within + run.count > added.grains) continue;
    checkPlacement(added, grainExp, record.batch);
    const map = new GrainMap(newMapEntry(added.firstIndex, added), grainExp, false);
    return valuePlace(run, map, run.count);
  }
  return undefined;
}

function grainExpOf(atlas: Atlas, record: LogRecord, run: GrainRun): number | undefined {
  const known = atlas.stratum(run.basin, run.stratum);
  if (known !== undefined) return known.grainExp;
  for (const added of record.operations) {
    if (added.operation !== 'add-stratum') continue;
    if (added.basin === run.basin && added.stratum === run.stratum) return added.grainExp;
  }
  return undefined;
}

/** Applies a record to each structure whose stamp is before its batch. */
export function* applyRecord(parts: ReplayParts, record: LogRecord): Steps<void> {
  const { atlas } = parts;
  const { batch } = record;
  const counted = { batch, counted: true };
  const notCounted = { batch, counted: false };
  let applied = 0;
  for (const operation of record.operations) {
    if (applied++ % stepsPerPause === 0) yield pause;
    switch (operation.operation) {
      case 'add-basin':
        addBasin(parts, operation.basin, batch);
        break;
      case 'add-stratum':
        addStratum(atlas, operation, batch);
        break;
      case 'add-map':
        addMap(atlas, operation, batch);
        break;
      case 'drop-map': {
        const basin = atlas.basins[operation.basin];
        if (basin === undefined || batch <= basin.stamp) break;
        basin.touched();
        const stratum = basin.strata[operation.stratum];
        if (stratum === undefined) throw misfit(batch, 'a grain map');
        atlas.dropMap(stratum, operation.firstIndex);
        break;
      }
      case 'replace-map':
        // None is published while a settle writes structures: all that it wrote have this one.
        if (batch > parts.rootStamp) replayReplaced(parts, operation, batch);
        break;
      default: {
        const basin = atlas.basins[operation.basin];
        const stratum = basin?.strata[operation.stratum];
        if (basin === undefined || stratum === undefined) throw misfit(batch, 'a value');
        const as = batch > basin.stamp ? counted : notCounted;
        if (as.counted) basin.touched();
        stratum.replay(operation.operation, operation, as);
      }
    }
  }
}

function addBasin(parts: ReplayParts, number: number, batch: number): void {
  const { basins } = parts.atlas;
  if (number < basins.length && batch <= parts.rootStamp) return;
  if (number !== basins.length) throw misfit(batch, 'a basin');
  parts.atlas.addBasin(true);
}

function addStratum(
  atlas: Atlas,
  added: { basin: number; stratum: number; grainExp: number },
  batch: number,
): void {
  const basin = atlas.basins[added.basin];
  if (basin === undefined) throw misfit(batch, 'a stratum');
  if (added.stratum < basin.strata.length && batch <= basin.stamp) return;
  const possible = added.grainExp >= grainExpMin && added.grainExp <= grainExpMax;
  if (added.stratum !== basin.strata.length || !possible) throw misfit(batch, 'a stratum');
  atlas.addStratum(added.basin, added.grainExp, true);
  basin.touched();
}

function checkPlacement(added: AddedMap, grainExp: number, batch: number): void {
  const grainsMax = markPagesMax * grainsPerMarkPage;
  const possible = added.grains >= 1 && added.grains <= grainsMax;
  if (added.firstIndex + added.grains > grainIndexLimit) throw misfit(batch, 'a grain map');
  if (!possible || !placementIsSound(added, grainExp)) throw misfit(batch, 'a grain map');
}

function addMap(atlas: Atlas, added: AddedMap, batch: number): void {
  const basin = atlas.basins[added.basin];
  const stratum = basin?.strata[added.stratum];
  if (basin === undefined || stratum === undefined) throw misfit(batch, 'a grain map');
  if (added.firstIndex < stratum.endIndex && batch <= basin.stamp) return;
  if (added.firstIndex < stratum.endIndex) throw misfit(batch, 'a grain map');
  checkPlacement(added, stratum.grainExp, batch);
  stratum.addMap(added, true);
  basin.touched();
}

function replayReplaced(parts: ReplayParts, replaced: ReplacedMap, batch: number): void {
  const found = replacedIn(parts.atlas, replaced, batch);
  if (found === undefined) throw misfit(batch, 'a grain map');
  const { stratum, map } = found;
  stratum.moves.loadAll(map);
  replaceMap(parts, stratum, map, replaced.parts);
}

/** The map that is replaced, if there is one. Throws `VARVE_CORRUPT` if the parts are not in it. */
export function replacedIn(
  atlas: Atlas,
  { basin, stratum: number, firstIndex, parts }: ReplacedMap,
  batch: number,
): { readonly stratum: Stratum; readonly map: GrainMap } | undefined {
  const stratum = atlas.stratum(basin, number);
  const map = stratum?.mapWith(firstIndex);
  if (stratum === undefined || map?.firstIndex !== firstIndex) return undefined;
  let end = firstIndex;
  for (const part of parts) {
    if (part.firstIndex < end || part.grains < 1) throw misfit(batch, 'a grain map');
    end = part.firstIndex + part.grains;
  }
  if (end > firstIndex + map.grains) throw misfit(batch, 'a grain map');
  return { stratum, map };
}

function misfit(batch: number, what: string): Error {
  return corrupt(`the commit log adds or names ${what} that does not fit the Atlas`, { batch });
}
