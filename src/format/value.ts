/**
 * A stored value: an 8-byte prefix (length, CRC-32), then the bytes, in 1 to 255 grains.
 *
 * The CRC covers GrainId, length and bytes, so that it also finds a write to a wrong place. Also
 * here: number and size of a value's grains. Layout: `spec/format.md`, "Values".
 */

import { crc32 } from '../util/crc.ts';
import { setU32 } from '../util/little-endian.ts';
import { type GrainIdParts, setGrainId } from './grain-id.ts';
import {
  grainExpMax,
  grainExpMin,
  grainExpStep,
  grainsPerValueMax,
  valuePrefixBytes,
} from './layout.ts';

const idAndLength = new Uint8Array(12);

/** The CRC of a value's id and length; the CRC of its bytes continues from it. */
export function valueCrcStart(id: GrainIdParts, length: number): number {
  setGrainId(idAndLength, 0, id);
  setU32(idAndLength, 8, length);
  return crc32(idAndLength);
}

export function valueCrc(id: GrainIdParts, bytes: Uint8Array): number {
  return crc32(bytes, valueCrcStart(id, bytes.length));
}

/** Prefix and bytes of a value at the start of `target`, and zeros to its end. */
export function encodeValue(target: Uint8Array, bytes: Uint8Array, crc: number): void {
  encodeValuePrefix(target, bytes.length, crc);
  target.set(bytes, valuePrefixBytes);
  target.fill(0, valuePrefixBytes + bytes.length);
}

export function encodeValuePrefix(target: Uint8Array, length: number, crc: number): void {
  setU32(target, 0, length);
  setU32(target, 4, crc);
}

/**
 * Grains of 2^grainExp bytes for a value of `length` bytes. A shift here and on the read path: `2
 * **` takes as long as the rest of the function.
 */
export function grainCount(length: number, grainExp: number): number {
  return Math.ceil((length + valuePrefixBytes) / (1 << grainExp));
}

/** The smallest grain size with at most 255 grains for a value of `length` bytes. */
export function grainExpFor(length: number): number {
  let grainExp = grainExpMin;
  while (grainExp < grainExpMax && grainCount(length, grainExp) > grainsPerValueMax) {
    grainExp += grainExpStep;
  }
  return grainExp;
}

/**
 * True if grains of this size waste little: at most 1/8 of the value, or less than 32 bytes for a
 * value below 256 bytes.
 */
export function grainExpSuits(length: number, grainExp: number): boolean {
  const count = grainCount(length, grainExp);
  if (count > grainsPerValueMax) return false;
  const padding = count * (1 << grainExp) - valuePrefixBytes - length;
  return padding * 8 <= length || (length < 256 && padding < 2 ** grainExpMin);
}
