/**
 * Writes one large value without blocking the event loop and without a copy.
 *
 * Invariants:
 * - The value's grains are reserved and its id is unpublished: the bytes count only when a commit
 *   names them.
 * - The caller gives the grains back only when no write to them is in flight.
 *
 * It syncs nothing.
 */

import { invalidArgument, ioError } from '../../errors.ts';
import { valuePrefixBytes } from '../../format/layout.ts';
import { encodeValuePrefix, valueCrcStart } from '../../format/value.ts';
import { crc32 } from '../../util/crc.ts';
import { writeBytes } from '../file/effects.ts';
import { type FilePart, partsWithin, writesTo } from '../file/file-parts.ts';
import type { Reservation } from '../grains/atlas.ts';
import type { StoreCore } from '../state/core.ts';

/** Bytes of one write; their CRC is computed during it: half a millisecond of the thread's time. */
const pieceBytes = 2 * 1024 * 1024;

/** Writes `data` to the reserved grains and gives its CRC. Throws `VARVE_IO`, `VARVE_POISONED`. */
export async function writeLargeValue(
  core: StoreCore,
  place: Reservation,
  data: Uint8Array,
): Promise<number> {
  const { stratum, index } = place;
  const id = { basin: stratum.basin, stratum: stratum.number, index };
  const parts = stratum.partsOf(index, valuePrefixBytes + data.length);
  // The file grows once for the whole value, not with each piece of it.
  for (const { offset, bytes } of parts) core.lengthen(offset + bytes);
  const { length } = data;
  let crc = valueCrcStart(id, length);
  for (let at = 0; at < length; at += pieceBytes) {
    // The caller has transferred or shortened the buffer during a write.
    if (data.length !== length)
      throw invalidArgument('Store.put', 'bytes that stay in place during the put', data);
    const piece = data.subarray(at, at + pieceBytes);
    const writing = write(core, piece, partsWithin(parts, valuePrefixBytes + at, piece.length));
    crc = crc32(piece, crc);
    await writing;
  }
  const prefix = new Uint8Array(valuePrefixBytes);
  encodeValuePrefix(prefix, length, crc);
  await write(core, prefix, partsWithin(parts, 0, valuePrefixBytes));
  return crc;
}

async function write(core: StoreCore, bytes: Uint8Array, parts: Iterable<FilePart>): Promise<void> {
  for (const { offset, chunks } of writesTo([...parts], [bytes])) {
    core.checkSound();
    try {
      // Handing these few bytes to a thread takes longer than writing them.
      if (bytes.length <= valuePrefixBytes) core.file.writeSync(chunks, offset);
      else await core.file.write(chunks, offset);
    } catch (error) {
      core.values.cache.forget(offset, writeBytes({ offset, chunks }));
      throw ioError('writing a value', core.path, error);
    }
    core.values.cache.written(chunks, offset);
    core.counters.bytesWritten += writeBytes({ offset, chunks });
  }
}
