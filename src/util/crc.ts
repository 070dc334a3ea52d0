/**
 * CRC-32 (IEEE 802.3, as in zlib) of byte arrays, also piece by piece.
 *
 * One function, two implementations, each used where it was measured faster: the table of `crc-32`
 * for short inputs (17 ns against 71 ns at 16 bytes), Node's zlib for long ones (14 us against 44
 * us at 64 KiB). Without `zlib.crc32` the table does all. zlib takes a millisecond to load, so the
 * first long input loads it, not the import of varve.
 */

import crc32Table from 'crc-32';
import { builtinModule } from './builtin-module.ts';

interface ZlibWithCrc {
  crc32?: (data: Uint8Array, value?: number) => number;
}

const longInputBytes = 320;

/** The checksum of `bytes`; with `before`, that of the data with this CRC followed by `bytes`. */
export function crc32(bytes: Uint8Array, before = 0): number {
  return bytes.length > longInputBytes ? ofLong(bytes, before) : ofShort(bytes, before);
}

function ofShort(bytes: Uint8Array, before: number): number {
  return crc32Table.buf(bytes, before) >>> 0;
}

/** Replaces itself at the first call. */
let ofLong = (bytes: Uint8Array, before: number): number => {
  ofLong = builtinModule<ZlibWithCrc>('zlib')?.crc32 ?? ofShort;
  return ofLong(bytes, before);
};
