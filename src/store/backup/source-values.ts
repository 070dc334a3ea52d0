/**
 * Reads values of the source as they are in the file, with those that records carry laid over them.
 *
 * Invariant: `copyAlone` gives the bytes of the value that the id names, verified at their end, or
 * rejects. The source says what a failed checksum means.
 */

import { corrupt, isVarveError, type VarveError } from '../../errors.ts';
import { type GrainIdParts, joinGrainId } from '../../format/grain-id.ts';
import { valuePrefixBytes } from '../../format/layout.ts';
import { valueCrcStart } from '../../format/value.ts';
import { assert } from '../../util/assert.ts';
import { crc32 } from '../../util/crc.ts';
import { getU32 } from '../../util/little-endian.ts';
import { type FilePart, partsWithin } from '../file/file-parts.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { StoreCore } from '../state/core.ts';
import { layOver } from '../values/carried-values.ts';
import { type ValuePlace, valuePlace } from '../values/value-place.ts';
import type { BackupSource, SourceStratum } from './backup-source.ts';

/** A live value of the source. */
export interface SourceValue {
  readonly stratum: SourceStratum;
  readonly index: number;
  readonly count: number;
}

/** Two buffers: one is filled while the other one is taken. */
export type PieceBuffers = readonly [Uint8Array, Uint8Array];

/** Takes a piece of a value's grains; the buffer must not change until it settles. */
export type TakePiece = (piece: Uint8Array, at: number) => Promise<void>;

/** The map that has the grain now. Requires: it belongs to a live value. */
export function mapOf(
  { atlas }: StoreCore,
  { basin, number }: SourceStratum,
  index: number,
): GrainMap {
  const map = atlas.stratum(basin, number)?.mapWith(index);
  assert(map !== undefined, 'a live value has a map');
  return map;
}

function placeOf(core: StoreCore, { stratum, index, count }: SourceValue): ValuePlace {
  const map = mapOf(core, stratum, index);
  return valuePlace({ basin: stratum.basin, stratum: stratum.number, index }, map, count);
}

function partsOf({ parts, offset, capacity }: ValuePlace): readonly FilePart[] {
  return parts ?? [{ offset, bytes: capacity }];
}

/**
 * Fills `target` from byte `offset` of the file, without blocking. The file may end before the end
 * of a value's padding: then the rest is zeros.
 */
export async function readSource(
  { reader, values }: StoreCore,
  target: Uint8Array,
  offset: number,
): Promise<void> {
  // A value may be written to its grains, and leave, during the read.
  const carried = values.carried.within(offset, target.length);
  await reader.fillAsync(target, offset, Number.MAX_SAFE_INTEGER);
  layOver(target, offset, carried);
  values.carried.overlay(target, offset);
}

/**
 * Reads a value in pieces of up to the length of a buffer, and verifies it. Bytes after its end are
 * zero. Resolves to its length. A value that fails is read again from its place as of then. Rejects
 * with `VARVE_CORRUPT` if it fails there too, and as `take`.
 */
export async function copyAlone(
  source: BackupSource,
  value: SourceValue,
  buffers: PieceBuffers,
  take: TakePiece,
): Promise<number> {
  for (let failedAt = -1; ; ) {
    const place = placeOf(source.core, value);
    try {
      return await readInPieces(source.core, place, buffers, take);
    } catch (error) {
      const reason = await source.explained(error, 'value');
      if (!isVarveError(reason, 'VARVE_CORRUPT') || failedAt === place.offset) throw reason;
      failedAt = place.offset;
    }
  }
}

async function readInPieces(
  core: StoreCore,
  place: ValuePlace,
  buffers: PieceBuffers,
  take: TakePiece,
): Promise<number> {
  if (!core.values.isTrusted(place.offset)) {
    throw damaged(place, 'a value is not the one that its batch wrote');
  }
  const { id, capacity } = place;
  let taking: Promise<void> = Promise.resolve();
  let [length, stored, crc] = [0, 0, 0];
  try {
    for (let at = 0, turn = 0; at < capacity; turn++) {
      const buffer = buffers[turn % 2] as Uint8Array;
      const piece = buffer.subarray(0, Math.min(buffer.length, capacity - at));
      await readPiece(core, place, piece, at);
      if (at === 0) {
        length = lengthIn(place, piece);
        stored = getU32(piece, 4);
        crc = valueCrcStart(id, length);
      }
      const end = Math.min(piece.length, Math.max(0, valuePrefixBytes + length - at));
      const from = at === 0 ? valuePrefixBytes : 0;
      if (from < end) crc = crc32(piece.subarray(from, end), crc);
      piece.fill(0, Math.max(from, end));
      await taking;
      taking = take(piece, at);
      // It is awaited after the next read; until then its error is no unhandled one.
      void Promise.allSettled([taking]);
      at += piece.length;
    }
  } finally {
    await Promise.allSettled([taking]);
  }
  await taking;
  if (crc === stored) return length;
  throw damaged(place, 'a value fails its checksum', { expected: stored, actual: crc });
}

async function readPiece(
  core: StoreCore,
  place: ValuePlace,
  piece: Uint8Array,
  at: number,
): Promise<void> {
  let filled = 0;
  for (const { offset, bytes } of partsWithin(partsOf(place), at, piece.length)) {
    await readSource(core, piece.subarray(filled, filled + bytes), offset);
    filled += bytes;
  }
}

function lengthIn(place: ValuePlace, piece: Uint8Array): number {
  const length = getU32(piece, 0);
  const expected = place.capacity - valuePrefixBytes;
  if (length <= expected) return length;
  throw damaged(place, 'a value is longer than its grains', { expected, actual: length });
}

function damaged(
  { id, offset }: { readonly id: GrainIdParts; readonly offset: number },
  message: string,
  sides?: { readonly expected: number; readonly actual: number },
): VarveError {
  const grainId = joinGrainId(id.basin, id.stratum, id.index);
  return corrupt(message, { offset, grainId, ...sides });
}
