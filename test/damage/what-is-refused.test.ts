/**
 * The table in the chapter "Damage" of `spec/format.md`: each piece of each specimen is damaged
 * alone, and nothing more is refused than its row says.
 *
 * Invariant: each row is met, but for the part on checkpoints past a damaged record, which
 * `regression/` and `store/` have. That the rest is right is what `damage-trial.ts` holds.
 */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import {
  bytesOf,
  check,
  contentOf,
  overwrite,
  placeOf,
  storePath,
} from '../support/fixtures/store-checks.ts';
import type { Anatomy, Piece } from './anatomy.ts';
import type { Outcome } from './damage-trial.ts';
import { patience } from './scale.ts';
import { Campaign, patientOf } from './wounds.ts';

const spec = readFileSync(new URL('../../spec/format.md', import.meta.url), 'utf8');
const [, rest = ''] = spec.split('| damaged | refused |\n');
const rows = [...(rest.split('\n\n')[0] ?? '').matchAll(/^\| ([^-].*) \| (.*) \|$/gm)];
const damagedBytes = 16;

/** What is refused with one piece damaged, in the words of the table. */
type Refused = 'nothing' | 'the store' | 'values' | 'the batch' | 'the log';

function refusedBy({ refused, failed, takenBack, logError }: Outcome): Refused {
  if (refused !== undefined) return 'the store';
  if (takenBack) return 'the batch';
  if (failed.size > 0) return 'values';
  return logError === undefined ? 'nothing' : 'the log';
}

/** What may be refused with this piece damaged; nothing, where it is made good. */
function allowedFor({ kind, batch = 0 }: Piece, { base }: Anatomy): Refused[] {
  if (kind === 'header') return ['nothing'];
  if (kind === 'root') return ['the store'];
  if (kind === 'basin') return ['nothing', 'the store'];
  if (kind === 'map head' || kind === 'mark page') return ['nothing', 'values', 'the store'];
  if (kind === 'record') return batch <= base ? ['the log'] : ['the store'];
  return ['values', 'the batch'];
}

it('the table has the rows that are tried here', () => {
  expect(rows.map(([, damaged, refused]) => `${damaged}: ${refused}`)).toEqual([
    'one copy of the file header: nothing',
    'both copies; the root; a basin: the store',
    expect.stringMatching(/^a map head, a mark page: the values .*; the store if a record after/),
    expect.stringMatching(/^a rotten sector .*: the store$/),
    expect.stringMatching(/^the last record, .*: nothing: the batch is taken back$/),
    expect.stringMatching(/^a record after the checkpoint, .*: that entry of the commit log/),
    'a value: that value',
  ]);
});

it('nothing more is refused than the table says', patience, async () => {
  const met = new Set<string>();
  for (const kind of [
    { closed: true },
    { closed: false },
    { closed: true, checkpoint: true },
    { closed: false, checkpoint: true },
    { closed: true, carrying: true },
    { closed: false, carrying: true },
  ]) {
    const campaign = new Campaign(await patientOf(kind));
    const { anatomy } = campaign.patient;
    for (const piece of anatomy.pieces) {
      const from = piece.ranges[0]?.from ?? 0;
      const bytes = campaign.bytes.slice(from, from + damagedBytes).map((byte) => byte ^ 0xff);
      const outcome = await campaign.patch(piece.name, [{ at: from, bytes }], { deep: true });
      if (outcome === undefined) throw new Error(`${piece.name} was not damaged`);
      const refused = refusedBy(outcome);
      const allowed = allowedFor(piece, anatomy);
      expect(allowed, piece.name).toContain(refused);
      if (piece.kind === 'value' && refused === 'values') {
        const only = [...outcome.failed.keys()].map((id) => GrainId.format(id));
        expect(only).toEqual([piece.id === undefined ? '' : GrainId.format(piece.id)]);
      }
      met.add(`${piece.kind}: ${refused}`);
    }
  }
  expect([...met].sort()).toEqual(
    [
      'header: nothing',
      'basin: nothing',
      'basin: the store',
      'root: the store',
      'map head: nothing',
      'map head: values',
      'mark page: nothing',
      'mark page: values',
      'record: the log',
      'record: the store',
      'value: the batch',
      'value: values',
    ].sort(),
  );
});

/** A store whose marks have no twin to be made good from, killed after another batch. */
async function killed(lengths: readonly number[]): Promise<Uint8Array> {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(storePath, { fileSystem });
  await store.put(new Uint8Array(10));
  await store.checkpointTo(store.currentBatch);
  await store.close();
  const later = await Store.open(storePath, { fileSystem });
  for (const length of lengths) await later.put(new Uint8Array(length));
  const bytes = await contentOf(fileSystem);
  await later.close();
  return bytes;
}

async function openDamaged(bytes: Uint8Array, at: number): Promise<Store> {
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, bytes);
  await overwrite(fileSystem, new Uint8Array(damagedBytes), at);
  return await Store.open(storePath, { fileSystem });
}

it('a damaged mark page refuses the store only if a record after the base has a run there', async () => {
  const into = await killed([10]);
  await check.rejects('VARVE_CORRUPT', () => openDamaged(into, placeOf(into, bytesOf('mark'))));
  const beside = await killed([9000]);
  const store = await openDamaged(beside, placeOf(beside, bytesOf('mark')));
  check.throws('VARVE_CORRUPT', () => store.get(GrainId.of(0, 0, 0)));
  await store.close();
});

it('a last record with a blank sector is taken back, one with a rotten sector is refused', async () => {
  const bytes = await killed([10]);
  const lane = 2 * 4096 + 8 * 4096;
  // Batch 3 is after the batch that the newer header copy confirms.
  const header = Buffer.from(bytes.slice(4096, 4096 + 512));
  expect(header.readUIntLE(42, 6)).toBe(2);
  const at = lane + 512;
  await check.rejects('VARVE_CORRUPT', () => openDamaged(bytes, at));
  bytes.fill(0, at, at + 512);
  const store = await openDamaged(bytes, at);
  expect(store.currentBatch).toBe(2);
  await store.close();
});
