/**
 * The places of values in the file, and the checks of what is stored there.
 *
 * Invariant: a value is its prefix and its bytes, in order, in the parts of its place. It reads
 * nothing.
 */

import { corrupt, type VarveError, type VarveErrorFacts } from '../../errors.ts';
import { type GrainIdParts, joinGrainId } from '../../format/grain-id.ts';
import { valuePrefixBytes } from '../../format/layout.ts';
import type { FilePart } from '../file/file-parts.ts';
import type { GrainMap } from '../grains/grain-map.ts';

/** The place of a value. */
export interface ValuePlace {
  readonly id: GrainIdParts;
  /** Byte offset of its prefix. */
  readonly offset: number;
  /** Bytes of its grains. */
  readonly capacity: number;
  /** The parts of the file with its grains, if there are several. */
  readonly parts: readonly FilePart[] | undefined;
}

/** Bytes `start` to `end` of a value: whole numbers from 0, not yet clipped to its length. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The place of the `count` grains that begin with the id's grain. */
export function valuePlace(
  { basin, stratum, index }: GrainIdParts,
  map: GrainMap,
  count: number,
): ValuePlace {
  const capacity = count * (1 << map.grainExp);
  const id = { basin, stratum, index };
  return { id, offset: map.grainOffset(index), capacity, parts: map.parts(index, capacity) };
}

/** The parts of the file with the value's grains, in order. */
export function partsOf(place: ValuePlace): readonly FilePart[] {
  return place.parts ?? [{ offset: place.offset, bytes: place.capacity }];
}

/** The length in a value's prefix. Throws `VARVE_CORRUPT` if it does not fit the value's grains. */
export function checkStoredLength(place: ValuePlace, length: number): number {
  if (length + valuePrefixBytes <= place.capacity) return length;
  const expected = place.capacity - valuePrefixBytes;
  throw damaged(place, 'a value is longer than its grains', { expected, actual: length });
}

/** Throws `VARVE_CORRUPT` if the CRC of all bytes is not the one in the prefix. */
export function checkCrc(place: ValuePlace, expected: number, actual: number): void {
  if (expected === actual) return;
  throw damaged(place, 'a value fails its checksum', { expected, actual });
}

/** Bytes of a range in a value of `length` bytes. */
export function rangeBytes({ start, end }: ByteRange, length: number): number {
  return Math.max(0, Math.min(end, length) - start);
}

/** `VARVE_CORRUPT` for the value at this place. */
export function damaged(
  { id, offset }: ValuePlace,
  message: string,
  facts?: VarveErrorFacts,
): VarveError {
  const grainId = joinGrainId(id.basin, id.stratum, id.index);
  return corrupt(message, { offset, grainId, ...facts });
}
