/**
 * A stored value: an 8-byte prefix (length, CRC-32), then the bytes, in 1 to 255 grains.
 *
 * The CRC covers the GrainId, the length and the bytes, so that a write that went to the wrong
 * place is caught. Also here: how many grains a value takes, and of which size. Layout:
 * `spec/format.md`, "Values".
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

/** The CRC that a value's bytes are continued from: that of its id and length. */
export function valueCrcStart(id: GrainIdParts, length: number): number {
  setGrainId(idAndLength, 0, id);
  setU32(idAndLength, 8, length);
  return crc32(idAndLength);
}

export function valueCrc(id: GrainIdParts, bytes: Uint8Array): number {
  return crc32(bytes, valueCrcStart(id, bytes.length));
}

export function encodeValuePrefix(target: Uint8Array, length: number, crc: number): void {
  setU32(target, 0, length);
  setU32(target, 4, crc);
}

/**
 * Grains of 2^grainExp bytes that a value of `length` bytes takes. Here and wherever a value is
 * found, a shift: `2 **` costs as much as the rest of it.
 */
export function grainCount(length: number, grainExp: number): number {
  return Math.ceil((length + valuePrefixBytes) / (1 << grainExp));
}

/** The smallest grain in which a value of `length` bytes takes no more than 255. */
export function grainExpFor(length: number): number {
  let grainExp = grainExpMin;
  while (grainExp < grainExpMax && grainCount(length, grainExp) > grainsPerValueMax) {
    grainExp += grainExpStep;
  }
  return grainExp;
}

/**
 * True where grains of this size hold the value with little waste: at most 1/8 of it, or 32 bytes.
 */
export function grainExpSuits(length: number, grainExp: number): boolean {
  const count = grainCount(length, grainExp);
  if (count > grainsPerValueMax) return false;
  const padding = count * (1 << grainExp) - valuePrefixBytes - length;
  return padding * 8 <= length || (length < 256 && padding < 2 ** grainExpMin);
}
