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
import { writeBytes } from './effects.ts';
import { type FilePart, partsWithin, writesTo } from './file-parts.ts';

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
  const parts = stratum.partsOf(index, valuePrefixBytes + data.length);
  for (const { offset, bytes } of parts) core.space.reach(Math.ceil((offset + bytes) / pageBytes));
  let crc = valueCrcStart(id, data.length);
  for (let at = 0; at < data.length; at += pieceBytes) {
    const piece = data.subarray(at, at + pieceBytes);
    crc = crc32(piece, crc);
    await write(core, piece, partsWithin(parts, valuePrefixBytes + at, piece.length));
  }
  const prefix = new Uint8Array(valuePrefixBytes);
  encodeValuePrefix(prefix, data.length, crc);
  await write(core, prefix, partsWithin(parts, 0, valuePrefixBytes));
  return crc;
}

async function write(core: StoreCore, bytes: Uint8Array, parts: Iterable<FilePart>): Promise<void> {
  for (const { offset, chunks } of writesTo([...parts], [bytes])) {
    core.checkSound();
    try {
      await core.file.write(chunks, offset);
    } catch (error) {
      core.values.cache.forget(offset, writeBytes({ offset, chunks }));
      throw ioError('writing a value', core.path, error);
    }
    core.values.cache.written(chunks, offset);
    core.counters.bytesWritten += writeBytes({ offset, chunks });
  }
}
