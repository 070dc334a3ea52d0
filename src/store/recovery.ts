/**
 * Recovery: what opening for writing writes before anything else may be, after a clean close too.
 *
 * 1. The chosen header copy, in place, and where the store was not closed everything that the last
 *    kept batch wrote; then a sync. After a failed sync and a restart without a reboot the page
 *    cache shows bytes that the disk never got: this makes them durable before anything relies on
 *    them.
 * 2. The other header copy: open, the last kept batch confirmed, an epoch above every one in the
 *    file; a sync. From here the decision about the last batch stands: a record after `confirmed`
 *    with an older epoch is no record.
 * 3. The copy that was chosen, alike, and blanks over the heads of records after the last kept
 *    batch, so that none is ever taken for a later record of the same batch; a sync.
 *
 * It may be cut at any write, any number of times, and decides the same again. It takes no batch
 * id.
 */

import { pageBytes, sectorBytes, valuePrefixBytes } from '../format/layout.ts';
import { datasync, type Steps } from './effects.ts';
import { partsWithin } from './file-parts.ts';
import type { FileReader } from './file-reader.ts';
import type { LoadedStore } from './loading.ts';
import { type KeptRecord, valuesOf } from './replay.ts';

/** Bytes that are read and written again at once. */
const pieceBytes = 8 * 1024 * 1024;

export function* recoverFile({ opened, choice, replayed, after }: LoadedStore): Steps<void> {
  const { headers, log, published, reader } = opened;
  yield { kind: 'write', offset: choice.copy * pageBytes, chunks: [choice.sector] };
  if (replayed.last !== undefined) yield* rewriteBatch(opened.atlas, reader, replayed.last);
  yield datasync;
  const { segments } = headers.content;
  const first = log.segments.find(({ page }) => page === segments[0]?.page) ?? log.current;
  const listed = log.listFrom(first, true);
  headers.change({ clean: false, epoch: opened.nextEpoch, segments: listed });
  for (let round = 0; !headers.agreed; round++) {
    const write = headers.plan(published.currentBatch);
    if (write !== undefined) yield { kind: 'write', ...write };
    for (const { sector } of round > 0 ? after : []) {
      const chunks = [new Uint8Array(sectorBytes)];
      yield { kind: 'write', offset: sector * sectorBytes, chunks };
    }
    yield datasync;
    headers.synced();
  }
}

/**
 * Writes the record of a batch, its body and its values where they are, as they are; values side
 * by side at once, with what is between them in their grains.
 */
function* rewriteBatch(
  atlas: LoadedStore['opened']['atlas'],
  reader: FileReader,
  { found, record }: KeptRecord,
): Steps<void> {
  const { sector, head } = found;
  yield* rewrite(reader, sector * sectorBytes, head.sectors * sectorBytes);
  if (head.extent !== undefined) {
    yield* rewrite(reader, head.extent.page * pageBytes, head.bodyBytes);
  }
  let from = 0;
  let end = 0;
  let grainsEnd = -1;
  for (const { run, place } of valuesOf(atlas, record)) {
    if (place.parts !== undefined) {
      for (const { offset, bytes } of partsWithin(place.parts, 0, valuePrefixBytes + run.length))
        yield* rewrite(reader, offset, bytes);
      continue;
    }
    if (place.offset !== grainsEnd) {
      yield* rewrite(reader, from, end - from);
      from = place.offset;
    }
    end = place.offset + valuePrefixBytes + run.length;
    grainsEnd = place.offset + place.capacity;
  }
  yield* rewrite(reader, from, end - from);
}

function* rewrite(reader: FileReader, offset: number, length: number): Steps<void> {
  for (let at = 0; at < length; at += pieceBytes) {
    const bytes = reader.bytes(offset + at, Math.min(pieceBytes, length - at));
    yield { kind: 'write', offset: offset + at, chunks: [bytes] };
  }
}
