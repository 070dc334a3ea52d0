/**
 * Recovery: the writes of opening for writing, before any other write, also after a clean close.
 *
 * 1. If the header does not confirm the last kept batch: everything that the batch wrote, again. If
 *    the header copies differ: the chosen one, in place. Then a sync, if there was anything. After
 *    a failed sync and a restart without a reboot the page cache shows bytes that the disk never
 *    got: this makes them durable before anything relies on them.
 * 2. One header copy: open, the last kept batch confirmed, an epoch above every one in the file; a
 *    sync. From here on the decision about the last batch is final: a record after `confirmed` with
 *    an older epoch does not count.
 * 3. If there are records after the last kept batch: the other copy with the same content, and
 *    blanks over the first sectors of these records, so that none is ever taken for a later record
 *    of the same batch; a sync. Without such records the other copy says nothing wrong: it goes
 *    with the first commit.
 *
 * Whenever a copy is written, the other one is durable and leads to the same state. The older of
 * two valid copies is durable, since the newer was written after its sync. If both have the same
 * content, the newer is written, without another sync. Otherwise the sync of step 1 makes the
 * chosen copy durable, and the older is written.
 *
 * A power cut may come at any write, any number of times: the next recovery decides the same. It
 * takes no batch id.
 */

import { corrupt } from '../../errors.ts';
import { pageBytes, sectorBytes, valuePrefixBytes } from '../../format/layout.ts';
import { assert, present } from '../../util/assert.ts';
import { datasync, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { type FilePart, partsWithin } from '../file/file-parts.ts';
import type { FileReader } from '../file/file-reader.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { HeaderCopies } from '../settle/header-copies.ts';
import type { LoadedStore } from './loading.ts';
import { type KeptRecord, valuesOf } from './replay.ts';

/** Bytes of one rewrite step. */
const pieceBytes = 8 * 1024 * 1024;

export function* recoverFile({ opened, choice, replayed, after }: LoadedStore): Steps<void> {
  const { atlas, headers, log, published, reader } = opened;
  const { last } = replayed;
  assert(!opened.readOnly, 'only a writer recovers the file');
  assert(opened.nextEpoch > choice.header.epoch, 'an epoch rises with each opening');
  const isUnproven = last !== undefined && last.record.batch > choice.header.confirmed;
  if (isUnproven) {
    const stretches = yield* stretchesOf(atlas, last);
    checkWithin(reader, last, stretches);
    for (const { offset, bytes } of stretches) yield* rewrite(reader, offset, bytes);
  }
  if (!choice.agreed) {
    yield { kind: 'write', offset: choice.copy * pageBytes, chunks: [choice.sector] };
  }
  if (isUnproven || !choice.agreed) yield datasync;
  const { segments } = headers.content;
  const known = log.segments.find(({ page }) => page === segments[0]?.page);
  const first = present(known, 'the first segment that the file header lists');
  const listed = log.listFrom(first);
  headers.doubt(choice.agreed ? choice.copy : 1 - choice.copy);
  headers.change({ clean: false, epoch: opened.nextEpoch, segments: listed });
  yield* writeHeader(headers, published.currentBatch);
  if (after.length === 0) return;
  for (const { sector } of after) {
    yield { kind: 'write', offset: sector * sectorBytes, chunks: [new Uint8Array(sectorBytes)] };
  }
  yield* writeHeader(headers, published.currentBatch);
}

/** Writes the copy that lags, then syncs it and all writes before it. */
function* writeHeader(headers: HeaderCopies, confirmed: number): Steps<void> {
  const write = present(headers.plan(confirmed), 'a header copy that lags');
  yield { kind: 'write', ...write };
  yield datasync;
  headers.synced();
}

/**
 * All that a batch wrote, for rewriting it in place: record, body and values. Adjoining values are
 * one stretch, including the padding between them.
 */
function* stretchesOf(atlas: Atlas, { found, record }: KeptRecord): Steps<readonly FilePart[]> {
  const { sector, head } = found;
  const stretches = [{ offset: sector * sectorBytes, bytes: head.sectors * sectorBytes }];
  if (head.extent !== undefined) {
    stretches.push({ offset: head.extent.page * pageBytes, bytes: head.bodyBytes });
  }
  let looked = 0;
  let from = 0;
  let end = 0;
  let grainsEnd = -1;
  for (const { run, place } of valuesOf(atlas, record)) {
    if (looked++ % stepsPerPause === 0) yield pause;
    if (place.parts !== undefined) {
      stretches.push(...partsWithin(place.parts, 0, valuePrefixBytes + run.length));
      continue;
    }
    if (place.offset !== grainsEnd) {
      stretches.push({ offset: from, bytes: end - from });
      from = place.offset;
    }
    end = place.offset + valuePrefixBytes + run.length;
    grainsEnd = place.offset + place.capacity;
  }
  stretches.push({ offset: from, bytes: end - from });
  return stretches;
}

/**
 * Checks that the file has all of it: if a later batch was taken back, replay has not read this
 * batch's values.
 */
function checkWithin(reader: FileReader, last: KeptRecord, stretches: readonly FilePart[]): void {
  const fileBytes = reader.length();
  for (const { offset, bytes } of stretches) {
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
