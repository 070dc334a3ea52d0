/**
 * GrainId: the 64-bit name of a value, and its parts.
 *
 * In the integer, basin (top 8 bits) and stratum (next 8) are counted from 1, so that 0n names
 * nothing; elsewhere parts are counted from 0. Hot paths never take a bigint apart by shifts:
 * `splitGrainId` uses one shared pair of typed arrays (9 ns instead of 40 to 85).
 */

import { invalidArgument } from '../errors.ts';
import { assert } from '../util/assert.ts';
import { halves, highHalf, lowHalf, wide } from '../util/bigint-halves.ts';
import { setU48 } from '../util/little-endian.ts';
import { basinsMax, grainIndexLimit, strataMax } from './layout.ts';

/**
 * Names one stored value for as long as it stays allocated. An unsigned 64-bit integer: 8 bits
 * basin, 8 bits stratum, 48 bits index of the value's first grain in that stratum. Never 0n.
 */
export type GrainId = bigint & { readonly __grainId: true };

/** The parts of a GrainId, each counted from 0. */
export interface GrainIdParts {
  readonly basin: number;
  readonly stratum: number;
  readonly index: number;
}

const twoTo32 = 0x1_0000_0000;
const idLimit = 1n << 64n;

/** Parts of the last id that was split: valid until the next call of `splitGrainId`. */
export const split: { basin: number; stratum: number; index: number } = {
  basin: -1,
  stratum: -1,
  index: 0,
};

/** Splits an id into `split`. False, with unusable parts, for a number that cannot name a value. */
export function splitGrainId(id: bigint): boolean {
  wide[0] = id;
  const top = halves[highHalf] as number;
  split.basin = (top >>> 24) - 1;
  split.stratum = ((top >>> 16) & 0xff) - 1;
  split.index = (top & 0xffff) * twoTo32 + (halves[lowHalf] as number);
  if (split.basin < 0 || split.stratum < 0) return false;
  return split.basin < basinsMax && split.stratum < strataMax && id >= 0n && id < idLimit;
}

/** As `splitGrainId`, into a new object; undefined for a number that cannot name a value. */
export function partsOfGrainId(id: bigint): GrainIdParts | undefined {
  if (!splitGrainId(id)) return undefined;
  const { basin, stratum, index } = split;
  return { basin, stratum, index };
}

/** Joins parts to an id. Requires: all parts are in range. */
export function joinGrainId(basin: number, stratum: number, index: number): GrainId {
  assert(basin < basinsMax && stratum < strataMax, 'a GrainId has room for basin and stratum');
  assert(index >= 0 && index < grainIndexLimit, 'a GrainId has room for an index');
  halves[lowHalf] = index >>> 0;
  halves[highHalf] = ((basin + 1) << 24) | ((stratum + 1) << 16) | Math.floor(index / twoTo32);
  return wide[0] as GrainId;
}

/** Writes the 8 bytes of an id as on disk, without a bigint. */
export function setGrainId(bytes: Uint8Array, at: number, id: GrainIdParts): void {
  const { basin, stratum, index } = id;
  setU48(bytes, at, index);
  bytes[at + 6] = stratum + 1;
  bytes[at + 7] = basin + 1;
}

function part(what: string, value: number, limit: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= limit) {
    throw invalidArgument(what, `an integer from 0 to ${limit - 1}`, value);
  }
  return value;
}

function from(value: bigint): GrainId {
  if (typeof value !== 'bigint' || value <= 0n || value >= idLimit) {
    throw invalidArgument('GrainId.from', 'a bigint from 1n to 2^64 - 1', value);
  }
  return value as GrainId;
}

function of(basin: number, stratum: number, index: number): GrainId {
  return joinGrainId(
    part('basin of a GrainId', basin, basinsMax),
    part('stratum of a GrainId', stratum, strataMax),
    part('index of a GrainId', index, grainIndexLimit),
  );
}

function parts(id: GrainId): { basin: number; stratum: number; index: number } {
  if (typeof id !== 'bigint' || !splitGrainId(id)) {
    throw invalidArgument('GrainId.parts', 'a GrainId with a basin and a stratum', id);
  }
  return { basin: split.basin, stratum: split.stratum, index: split.index };
}

function format(id: GrainId): string {
  from(id);
  if (splitGrainId(id)) return `${split.basin}-${split.stratum}-${split.index}`;
  return `x${id.toString(16).padStart(hexDigits, '0')}`;
}

const hexDigits = 16;
const number = '(0|[1-9][0-9]*)';
const textForm = new RegExp(`^${number}-${number}-${number}$`);
/** A u64 that no value can have, but that `from` accepts. */
const hexForm = new RegExp(`^x[0-9a-f]{${hexDigits}}$`);

function parse(text: string): GrainId {
  const found = typeof text === 'string' ? textForm.exec(text) : null;
  if (found !== null) return of(Number(found[1]), Number(found[2]), Number(found[3]));
  if (typeof text === 'string' && hexForm.test(text)) {
    const id = from(BigInt(`0${text}`));
    if (!splitGrainId(id)) return id;
  }
  throw invalidArgument('GrainId.parse', 'basin-stratum-index', text);
}

/** Functions that make, split, format and parse GrainIds. */
export const GrainId: {
  /**
   * Checks an id that the caller has stored. Throws `VARVE_INVALID_ARGUMENT` for 0n and anything
   * but a u64.
   */
  from(value: bigint): GrainId;
  /**
   * Builds an id from its parts, each counted from 0 (basin and stratum up to 253, index below
   * 2^48). Throws `VARVE_INVALID_ARGUMENT` for a part out of range.
   */
  of(basin: number, stratum: number, index: number): GrainId;
  /**
   * Its three parts, each counted from 0; `index` is exact. Throws `VARVE_INVALID_ARGUMENT` for a
   * number whose top bytes are no basin and stratum: it can name no value.
   */
  parts(id: GrainId): { basin: number; stratum: number; index: number };
  /**
   * Text form `basin-stratum-index` for logs, command lines and file names; `x` and 16 hexadecimal
   * digits for a number that has no such parts. Throws `VARVE_INVALID_ARGUMENT` as `from`.
   */
  format(id: GrainId): string;
  /** Throws `VARVE_INVALID_ARGUMENT` for text that `format` would not have produced. */
  parse(text: string): GrainId;
} = Object.freeze({ from, of, parts, format, parse });
