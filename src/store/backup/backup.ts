/**
 * Backup: a copy of one batch of a store, made while commits go on.
 *
 * 1. Choose the batch and hold it: its values stay in the file (`backup-source.ts`).
 * 2. Read all marks, with the changes since the batch, and decide the layout (`map-cuts.ts`,
 *    `copy-layout.ts`). From here on the commits do not matter any more.
 * 3. Copy the values (`value-copier.ts`), then write the structures that name them.
 * 4. Sync, and give the file its name (`target-file.ts`).
 *
 * Invariant: a failure in any step removes the unfinished file and leaves the source as it was.
 */

import { corrupt } from '../../errors.ts';
import { pageBytes, saltBytes } from '../../format/layout.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { BatchId } from '../state/batch-id.ts';
import type { BackupSource, SourceState } from './backup-source.ts';
import { CopyLayout } from './copy-layout.ts';
import { LiveMaps } from './live-maps.ts';
import { MarksKept } from './marks-kept.ts';
import { StoreValues } from './source-values.ts';
import { type TargetFile, type TargetRequest, writeTarget } from './target-file.ts';
import { ValueCopier } from './value-copier.ts';

export interface BackupReport {
  /** The batch that the copy holds. */
  readonly batch: BatchId;
  /** Length of the copy. */
  readonly bytes: number;
  readonly values: number;
}

/** Rejects as `Store.backupTo`. `marksMax`: mark pages in memory; tests lower it. */
export async function backUp(
  request: TargetRequest,
  source: BackupSource,
  operation: RunningOperation,
  marksMax?: number,
): Promise<BackupReport> {
  operation.report({ phase: 'marks', done: 0, total: undefined, unit: 'bytes' });
  try {
    return await writeTarget(request, source.core, (target) =>
      copyTo(target, source, operation, marksMax),
    );
  } finally {
    source.end();
  }
}

async function copyTo(
  target: TargetFile,
  source: BackupSource,
  operation: RunningOperation,
  marksMax: number | undefined,
): Promise<BackupReport> {
  const state = await source.begin(operation);
  const salt = globalThis.crypto.getRandomValues(new Uint8Array(saltBytes));
  const layout = new CopyLayout(state, salt);
  const marks = new MarksKept(target, salt, marksMax);
  await placeMaps(state, { source, layout, marks, operation });
  source.marksRead();
  const values = new StoreValues(source);
  const copier = new ValueCopier({ values, target, layout, marks, operation });
  await copier.copy();
  const { writes, pages } = layout.documents(copier.valueBytes);
  for (const { chunks, offset } of writes) await target.write(chunks, offset);
  const bytes = pages * pageBytes;
  operation.report({ phase: 'sync', done: bytes, total: bytes, unit: 'bytes' });
  await target.sync(bytes);
  await source.prove();
  operation.check();
  const count = layout.maps.reduce((sum, map) => sum + map.values, 0);
  return { batch: state.batch, bytes, values: count };
}

/** Reads all marks and places a map for each stretch with live values. */
async function placeMaps(
  { basins }: SourceState,
  parts: {
    readonly source: BackupSource;
    readonly layout: CopyLayout;
    readonly marks: MarksKept;
    readonly operation: RunningOperation;
  },
): Promise<void> {
  const { source, layout, marks, operation } = parts;
  const strata = basins.flat().map((stratum) => new LiveMaps(source, stratum));
  const total = strata.reduce((sum, { markPages }) => sum + markPages, 0) * pageBytes;
  let done = 0;
  for (const live of strata) {
    let values = 0;
    for await (const { cuts, pages } of live.cut(operation)) {
      for (const cut of cuts) {
        values += cut.values;
        await marks.add(layout.place(live.stratum, cut));
      }
      done += pages * pageBytes;
      operation.report({ phase: 'marks', done, total, unit: 'bytes' });
    }
    const { basin, number, values: expected } = live.stratum;
    if (values !== expected) {
      const message = `the marks of stratum ${basin}-${number} lack values that it counts`;
      throw corrupt(message, { expected, actual: values });
    }
  }
}
