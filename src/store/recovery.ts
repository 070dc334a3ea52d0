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

import { corrupt } from '../errors.ts';
import { pageBytes, sectorBytes, valuePrefixBytes } from '../format/layout.ts';
import type { Atlas } from './atlas.ts';
import { datasync, type Steps } from './effects.ts';
import { type FilePart, partsWithin } from './file-parts.ts';
import type { FileReader } from './file-reader.ts';
import type { LoadedStore } from './loading.ts';
import { type KeptRecord, valuesOf } from './replay.ts';

/** Bytes that are read and written again at once. */
const pieceBytes = 8 * 1024 * 1024;

export function* recoverFile({ opened, choice, replayed, after }: LoadedStore): Steps<void> {
  const { atlas, headers, log, published, reader } = opened;
  const { last } = replayed;
  if (last !== undefined) checkWithin(reader, atlas, last);
  yield { kind: 'write', offset: choice.copy * pageBytes, chunks: [choice.sector] };
  for (const { offset, bytes } of last === undefined ? [] : stretchesOf(atlas, last)) {
    yield* rewrite(reader, offset, bytes);
  }
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
 * Everything that a batch wrote, to be written again: its record, its body and its values where
 * they are, as they are; values side by side at once, with what is between them in their grains.
 */
function* stretchesOf(atlas: Atlas, { found, record }: KeptRecord): Generator<FilePart> {
  const { sector, head } = found;
  yield { offset: sector * sectorBytes, bytes: head.sectors * sectorBytes };
  if (head.extent !== undefined) {
    yield { offset: head.extent.page * pageBytes, bytes: head.bodyBytes };
  }
  let from = 0;
  let end = 0;
  let grainsEnd = -1;
  for (const { run, place } of valuesOf(atlas, record)) {
    if (place.parts !== undefined) {
      yield* partsWithin(place.parts, 0, valuePrefixBytes + run.length);
      continue;
    }
    if (place.offset !== grainsEnd) {
      yield { offset: from, bytes: end - from };
      from = place.offset;
    }
    end = place.offset + valuePrefixBytes + run.length;
    grainsEnd = place.offset + place.capacity;
  }
  yield { offset: from, bytes: end - from };
}

/** Of a batch before one that was taken back, nobody has looked at the values yet. */
function checkWithin(reader: FileReader, atlas: Atlas, last: KeptRecord): void {
  const fileBytes = reader.length();
  for (const { offset, bytes } of stretchesOf(atlas, last)) {
    if (offset + bytes <= fileBytes) continue;
    const { batch } = last.record;
    const facts = { batch, offset, expected: offset + bytes, actual: fileBytes };
    throw corrupt(`the file ends within what batch ${batch} wrote`, facts);
  }
}

function* rewrite(reader: FileReader, offset: number, length: number): Steps<void> {
  for (let at = 0; at < length; at += pieceBytes) {
    const bytes = reader.bytes(offset + at, Math.min(pieceBytes, length - at));
    yield { kind: 'write', offset: offset + at, chunks: [bytes] };
  }
}
