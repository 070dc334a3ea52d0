/**
 * Writing one large value without blocking the event loop and without a copy of it.
 *
 * Invariant: the value's grains are reserved and nobody knows them, so what is written to them
 * counts for nothing until a commit names them; they are given back only when no write to them is
 * under way. Syncs nothing.
 */

import { invalidArgument, ioError } from '../../errors.ts';
import { valuePrefixBytes } from '../../format/layout.ts';
import { encodeValuePrefix, valueCrcStart } from '../../format/value.ts';
import { crc32 } from '../../util/crc.ts';
import { writeBytes } from '../file/effects.ts';
import { type FilePart, partsWithin, writesTo } from '../file/file-parts.ts';
import type { Reservation } from '../grains/atlas.ts';
import type { StoreCore } from '../state/core.ts';

/** Bytes written at once, and summed meanwhile: half a millisecond of the thread's time. */
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
    // Transferred meanwhile, or its buffer became shorter.
    if (data.length !== length) throw invalidArgument('Store.put', 'bytes left alone', data);
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
      // So few bytes take longer to hand over than to write.
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
