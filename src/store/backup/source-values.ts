/**
 * The values of a copy's source: where they are, and their bytes. Those of an open store are read
 * from the file, with those that records carry laid over them.
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
import { partsWithin } from '../file/file-parts.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import { layOver } from '../values/carried-values.ts';
import { partsOf, type ValuePlace, valuePlace } from '../values/value-place.ts';
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

/** The values that a copier reads: those of a store that is open, or of a damaged file. */
export interface ValuesToCopy {
  /** The map that has the grain now. Requires: it belongs to a value that is copied. */
  mapOf(stratum: SourceStratum, index: number): GrainMap;
  /** False if the value with its prefix here is not to be read with others, but by itself. */
  isTrusted(offset: number): boolean;
  /** Fills `target` from byte `offset` of the file, without blocking; zeros after its end. */
  read(target: Uint8Array, offset: number): Promise<void>;
  /**
   * Reads a value in pieces of up to the length of a buffer, and verifies it. Bytes after its end
   * are zero. Resolves to its length. Rejects with `VARVE_CORRUPT`, and as `take`.
   */
  copyAlone(value: SourceValue, buffers: PieceBuffers, take: TakePiece): Promise<number>;
  /** The error to report for one of reading values. */
  explained(error: unknown): Promise<unknown>;
}

/** The values of a store that is open. */
export class StoreValues implements ValuesToCopy {
  readonly #source: BackupSource;

  constructor(source: BackupSource) {
    this.#source = source;
  }

  mapOf({ basin, number }: SourceStratum, index: number): GrainMap {
    const map = this.#source.core.atlas.stratum(basin, number)?.mapWith(index);
    assert(map !== undefined, 'a live value has a map');
    return map;
  }

  isTrusted(offset: number): boolean {
    return this.#source.core.values.isTrusted(offset);
  }

  /** The file may end before the end of a value's padding: then the rest is zeros. */
  async read(target: Uint8Array, offset: number): Promise<void> {
    const { reader, values } = this.#source.core;
    // A value may be written to its grains, and leave, during the read.
    const carried = values.carried.within(offset, target.length);
    await reader.fillAsync(target, offset, Number.MAX_SAFE_INTEGER);
    layOver(target, offset, carried);
    values.carried.overlay(target, offset);
  }

  /** A value that fails is read again from its place as of then. */
  async copyAlone(value: SourceValue, buffers: PieceBuffers, take: TakePiece): Promise<number> {
    for (let failedAt = -1; ; ) {
      const place = placeOf(this.mapOf(value.stratum, value.index), value);
      try {
        if (!this.isTrusted(place.offset)) {
          throw damaged(place, 'a value is not the one that its batch wrote');
        }
        return await readInPieces(this, place, buffers, take);
      } catch (error) {
        const reason = await this.explained(error);
        if (!isVarveError(reason, 'VARVE_CORRUPT') || failedAt === place.offset) throw reason;
        failedAt = place.offset;
      }
    }
  }

  async explained(error: unknown): Promise<unknown> {
    return await this.#source.explained(error, 'value');
  }
}

/** The place of a value in its map. */
export function placeOf(map: GrainMap, { stratum, index, count }: SourceValue): ValuePlace {
  return valuePlace({ basin: stratum.basin, stratum: stratum.number, index }, map, count);
}

/** As `ValuesToCopy.copyAlone`, for a value at this place. */
export async function readInPieces(
  values: Pick<ValuesToCopy, 'read'>,
  place: ValuePlace,
  buffers: PieceBuffers,
  take: TakePiece,
): Promise<number> {
  const { id, capacity } = place;
  let taking: Promise<void> = Promise.resolve();
  let [length, stored, crc] = [0, 0, 0];
  try {
    for (let at = 0, turn = 0; at < capacity; turn++) {
      const buffer = buffers[turn % 2] as Uint8Array;
      const piece = buffer.subarray(0, Math.min(buffer.length, capacity - at));
      await readPiece(values, place, piece, at);
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
  values: Pick<ValuesToCopy, 'read'>,
  place: ValuePlace,
  piece: Uint8Array,
  at: number,
): Promise<void> {
  let filled = 0;
  for (const { offset, bytes } of partsWithin(partsOf(place), at, piece.length)) {
    await values.read(piece.subarray(filled, filled + bytes), offset);
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
