/**
 * From what a scan has found to the strata, maps and records as of the last batch.
 *
 * Invariant: of an undamaged file the result is what an opening finds. The last record, after the
 * batch that the header confirms, is left out if a value that it does not carry is not as it says:
 * its commit was never acknowledged.
 */

import { type Basin, decodeBasin } from '../../format/basin.ts';
import { slotPage } from '../../format/document.ts';
import { pageBytes, valuePrefixBytes } from '../../format/layout.ts';
import type { LogRecord } from '../../format/log-record.ts';
import { decodeRoot, type Root } from '../../format/root.ts';
import { valueCrcStart } from '../../format/value.ts';
import { crc32 } from '../../util/crc.ts';
import { getU32 } from '../../util/little-endian.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { partsWithin } from '../file/file-parts.ts';
import { partsOf, valuePlace } from '../values/value-place.ts';
import { type DamagedFile, unlessCorrupt } from './damaged-file.ts';
import type { Remains } from './file-scan.ts';
import { RecordBodies, type RecordPlace } from './found-records.ts';
import type { FoundDocument } from './found-structures.ts';
import { type DatedBasin, KnownStrata } from './known-strata.ts';

/** Everything that is known of the store. */
export interface KnownStore {
  readonly strata: KnownStrata;
  /** One whole record for each batch that has one, in order. */
  readonly records: readonly RecordPlace[];
  /** Every structure that a name leads to holds every batch up to this one. */
  readonly base: number;
  /** The last batch that anything speaks of. */
  readonly batch: number;
  /** From this batch on, up to the last one, no record is missing. */
  readonly completeFrom: number;
  readonly embeddedHeader: bigint;
  /** Header, root, basins and all records after the base are there. */
  readonly isWhole: boolean;
}

interface Found {
  readonly file: DamagedFile;
  readonly remains: Remains;
  readonly operation: RunningOperation;
}

/** A decoded root, and the batch that it is of. */
interface DatedRoot {
  readonly root: Root;
  readonly stamp: number;
  readonly isNamed: boolean;
}

export async function knownStore(found: Found): Promise<KnownStore> {
  const { header, records, structures } = found.remains;
  const roots = await readRoots(found);
  const basins = await readBasins(found, roots);
  const bodies = new RecordBodies(found.file, records.salt);
  const base = header?.base ?? Math.max(0, ...roots.map(({ stamp }) => stamp));
  const counted = records.counted(header);
  let places = await wholeRecords(found, bodies, counted);
  for (let tries = 1; ; tries++) {
    const strata = new KnownStrata();
    for (const map of structures.maps.values()) strata.addFound(map);
    for (const { number, dated } of basins) strata.addBasin(number, dated);
    let last: LogRecord | undefined;
    for (const place of places) {
      await found.operation.breathe();
      const record = await bodies.read(place, found.operation);
      if (record === undefined) continue;
      for (const one of record.operations) strata.addOperation(one, record.batch);
      last = record;
    }
    strata.resolve();
    // Only one commit can have been in flight: the last of which anything was found.
    const isLast = tries === 1 && last?.batch === counted.at(-1)?.batch;
    const mayBeTorn = isLast && header !== undefined && (last?.batch ?? 0) > header.confirmed;
    if (mayBeTorn && last !== undefined && !(await isThere(found, strata, last))) {
      places = places.slice(0, -1);
      continue;
    }
    const newest = roots.at(-1);
    const batch = Math.max(
      base,
      header?.confirmed ?? 0,
      last?.batch ?? 0,
      header === undefined ? structures.stampMax : 0,
    );
    const completeFrom = firstOfComplete(places, batch);
    const isNamed = roots.some((root) => root.isNamed) || header?.root.generation === 0;
    const named = basins.filter(({ dated }) => dated.isNamed).length;
    const all = roots.find((root) => root.isNamed)?.root.basins ?? [];
    const settledBasins = all.filter(({ generation }) => generation > 0).length;
    const isWhole = isNamed && named === settledBasins && completeFrom <= base + 1;
    const settled = header?.embeddedHeader ?? newest?.root.embeddedHeader ?? 0n;
    const embeddedHeader = last !== undefined && last.batch > base ? last.embeddedHeader : settled;
    return { strata, records: places, base, batch, completeFrom, embeddedHeader, isWhole };
  }
}

/** The roots, in the order of their stamps. */
async function readRoots({ file, remains }: Found): Promise<DatedRoot[]> {
  const name = remains.header?.root;
  const roots: DatedRoot[] = [];
  for (const found of inOrder(remains.structures.roots)) {
    const bytes = await read(file, found);
    const { page, generation, stamp } = found.seal;
    const root = unlessCorrupt(() => decodeRoot(bytes, page * pageBytes));
    const isNamed = generation === name?.generation && found.crc === name.crc;
    if (root !== undefined) roots.push({ root, stamp, isNamed });
  }
  return roots;
}

/** The basins that a root names, or whose maps were found, in the order of their stamps. */
async function readBasins(
  { file, remains }: Found,
  roots: readonly DatedRoot[],
): Promise<{ number: number; dated: DatedBasin }[]> {
  const basins: { number: number; dated: DatedBasin }[] = [];
  for (const found of inOrder(remains.structures.basins)) {
    const bytes = await read(file, found);
    const { page, generation, stamp } = found.seal;
    const basin = unlessCorrupt(() => decodeBasin(bytes, page * pageBytes));
    if (basin === undefined) continue;
    let number: number | undefined;
    let isNamed = false;
    for (const root of roots) {
      const at = root.root.basins.findIndex(
        (name) =>
          name.generation === generation &&
          name.crc === found.crc &&
          slotPage(name.page, name.capacityPages, generation) === page,
      );
      if (at < 0) continue;
      number = at;
      isNamed ||= root.isNamed;
    }
    number ??= numberByMaps(basin, remains);
    if (number !== undefined) basins.push({ number, dated: { basin, stamp, isNamed } });
  }
  return basins;
}

/** The number of a basin that no root names: most of its maps that were found say it. */
function numberByMaps({ strata }: Basin, { structures }: Remains): number | undefined {
  const votes = new Map<number, number>();
  const maps = new Set<string>();
  for (const [stratum, { maps: entries }] of strata.entries()) {
    for (const { firstIndex, grains, page } of entries) {
      maps.add(`${stratum}-${firstIndex}-${grains}-${page}`);
    }
  }
  for (const { owner, page } of structures.maps.values()) {
    const { basin, stratum, firstIndex, grains } = owner;
    if (!maps.has(`${stratum}-${firstIndex}-${grains}-${page}`)) continue;
    votes.set(basin, (votes.get(basin) ?? 0) + 1);
  }
  const [most] = [...votes].sort(([, one], [, other]) => other - one);
  return most?.[0];
}

function inOrder(documents: readonly FoundDocument[]): FoundDocument[] {
  return [...documents].sort(
    ({ seal: one }, { seal: other }) =>
      one.stamp - other.stamp || one.generation - other.generation,
  );
}

async function read(file: DamagedFile, { seal }: FoundDocument): Promise<Uint8Array> {
  const bytes = new Uint8Array(seal.length);
  await file.fill(bytes, seal.page * pageBytes);
  return bytes;
}

/** One place of each record that is whole. */
async function wholeRecords(
  { operation }: Found,
  bodies: RecordBodies,
  places: readonly RecordPlace[],
): Promise<RecordPlace[]> {
  const whole: RecordPlace[] = [];
  for (const place of places) {
    await operation.breathe();
    if (whole.at(-1)?.batch === place.batch) continue;
    if ((await bodies.read(place, operation)) !== undefined) whole.push(place);
  }
  return whole;
}

function firstOfComplete(places: readonly RecordPlace[], batch: number): number {
  let first = batch + 1;
  for (let at = places.length - 1; at >= 0; at--) {
    if (places[at]?.batch !== first - 1) break;
    first -= 1;
  }
  return first;
}

/** True if every value that the record allocates and does not carry is in its grains. */
async function isThere(
  { file, operation }: Found,
  strata: KnownStrata,
  record: LogRecord,
): Promise<boolean> {
  const piece = new Uint8Array(pieceBytes);
  for (const one of record.operations) {
    await operation.breathe();
    if (one.operation !== 'allocate' || one.bytes !== undefined) continue;
    const maps = strata.find(one.basin, one.stratum)?.maps ?? [];
    const map = maps.find(({ map: { firstIndex, grains } }) => {
      return firstIndex <= one.index && one.index + one.count <= firstIndex + grains;
    })?.map;
    if (map === undefined) return false;
    const place = valuePlace(one, map, one.count);
    if (place.capacity < one.length + valuePrefixBytes) return false;
    let crc = valueCrcStart(one, one.length);
    for (let at = 0; at < valuePrefixBytes + one.length; ) {
      const bytes = piece.subarray(0, Math.min(piece.length, valuePrefixBytes + one.length - at));
      let filled = 0;
      for (const part of partsWithin(partsOf(place), at, bytes.length)) {
        await file.fill(bytes.subarray(filled, filled + part.bytes), part.offset);
        filled += part.bytes;
      }
      if (at === 0 && (getU32(bytes, 0) !== one.length || getU32(bytes, 4) !== one.crc)) {
        return false;
      }
      crc = crc32(bytes.subarray(at === 0 ? valuePrefixBytes : 0), crc);
      at += bytes.length;
    }
    if (crc !== one.crc) return false;
  }
  return true;
}

/** Bytes of a value that are read at a time. */
const pieceBytes = 256 * 1024;
