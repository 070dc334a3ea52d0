/**
 * Writing one large value without blocking the event loop and without a copy of it.
 *
 * Invariant: the value's grains are reserved and nobody knows them, so what is written to them
 * counts for nothing until a commit names them; they are given back only when no write to them is
 * under way. Syncs nothing.
 */

import { ioError } from '../errors.ts';
import { pageBytes, valuePrefixBytes } from '../format/layout.ts';
import { encodeValuePrefix, valueCrcStart } from '../format/value.ts';
import { crc32 } from '../util/crc.ts';
import type { Reservation } from './atlas.ts';
import type { StoreCore } from './core.ts';

/** Bytes that are summed and written at once: about a millisecond of the thread's time. */
const pieceBytes = 4 * 1024 * 1024;

/** Writes `data` to the reserved grains and gives its CRC. Throws `VARVE_IO`, `VARVE_POISONED`. */
export async function writeLargeValue(
  core: StoreCore,
  place: Reservation,
  data: Uint8Array,
): Promise<number> {
  const { stratum, index } = place;
  const id = { basin: stratum.basin, stratum: stratum.number, index };
  const offset = stratum.offsetOf(index);
  const end = offset + valuePrefixBytes + data.length;
  core.space.reach(Math.ceil(end / pageBytes));
  let crc = valueCrcStart(id, data.length);
  for (let at = 0; at < data.length; at += pieceBytes) {
    const piece = data.subarray(at, at + pieceBytes);
    crc = crc32(piece, crc);
    await write(core, piece, offset + valuePrefixBytes + at);
  }
  const prefix = new Uint8Array(valuePrefixBytes);
  encodeValuePrefix(prefix, data.length, crc);
  await write(core, prefix, offset);
  return crc;
}

async function write(core: StoreCore, chunk: Uint8Array, offset: number): Promise<void> {
  core.checkSound();
  try {
    await core.file.write([chunk], offset);
  } catch (error) {
    core.values.cache.forget(offset, chunk.length);
    throw ioError('writing a value', core.path, error);
  }
  core.values.cache.written([chunk], offset);
  core.counters.bytesWritten += chunk.length;
}
