/**
 * Faults in backups: which values are copied, what holds them, what is checked, and when the copy gets
 * its name; and in what all long operations share.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const histories = 'test/store/backup/backup-histories.test.ts';
const inTurns = {
  file: histories,
  test: 'commits in every turn that a backup gives the event loop do not change the copy, seed 1',
};
const failures = 'test/store/backup/backup-failures.test.ts';
const cuts = 'test/store/backup/backup-cuts.test.ts';
const besideWriter = 'test/store/backup/backup-beside-writer.test.ts';
const sizes = 'test/store/backup/backup-size.test.ts';
const contract = 'test/store/backup/backup-contract.test.ts';
const operations = 'test/util/operations.test.ts';

export const faultsOfBackups: readonly SeededFault[] = [
  {
    name: 'a backup copies values that later batches have allocated',
    file: 'store/backup/changes-since.ts',
    find: '  if (mark === markValue) return (since & allocated) === 0;',
    replace: '  if (mark === markValue) return true;',
    caughtBy: inTurns,
  },
  {
    name: 'a backup leaves out values that later batches have archived',
    file: 'store/backup/changes-since.ts',
    find: '  return mark === markArchived && since === archived;',
    replace: '  return mark === markArchived && since === 0 && changes === undefined && index < 0;',
    caughtBy: inTurns,
  },
  {
    name: 'a backup holds no guard',
    file: 'store/backup/backup-source.ts',
    find: '    this.#guard = holdLog(core, core.published.currentBatch);',
    replace: '    this.#guard = undefined;',
    caughtBy: {
      file: histories,
      test: 'values of many lengths, settled often are copied as of one batch',
    },
  },
  {
    name: 'a backup reads marks while a batch is published in part',
    file: 'store/backup/backup-source.ts',
    find: '    return !this.core.publishing;',
    replace: '    return true;',
    caughtBy: {
      file: histories,
      test: 'do not change it if they are published in many turns',
    },
  },
  {
    name: 'a backup reads values from the file that only records have',
    file: 'store/backup/source-values.ts',
    find: lines(
      '    layOver(target, offset, carried);',
      '    values.carried.overlay(target, offset);',
    ),
    replace: '    if (carried.length < 0) layOver(target, offset, carried);',
    caughtBy: {
      file: histories,
      test: 'small values, carried by records are copied as of one batch',
    },
  },
  {
    name: 'a backup copies damaged values',
    file: 'store/backup/copy-chunk.ts',
    find: '    if (crc32(bytes, valueCrcStart(this.#id, length)) !== getU32(buffer, from + 4)) return -1;',
    replace: '    if (crc32(bytes, valueCrcStart(this.#id, length)) < 0) return -1;',
    caughtBy: { file: failures, test: 'rejects with VARVE_CORRUPT and the place of the value' },
  },
  {
    name: 'what lies between the values of a chunk is copied with them',
    file: 'store/backup/copy-chunk.ts',
    find: '    for (const { at, bytes } of this.#free) this.#buffer.fill(0, at, at + bytes);',
    replace: '',
    caughtBy: { file: contract, test: 'has no bytes of values that were archived' },
  },
  {
    name: 'a copy gets its name before it is synced',
    file: 'store/backup/target-file.ts',
    find: "    await this.#io('syncing', () => this.#file.datasync());\n",
    replace: '',
    caughtBy: { file: cuts, test: 'after the rename leaves a complete copy' },
  },
  {
    name: 'a failed backup leaves its file',
    file: 'store/backup/target-file.ts',
    find: '    await Promise.allSettled([this.#emptied()]);',
    replace: '',
    caughtBy: { file: failures, test: 'by the signal at any call rejects with its reason' },
  },
  {
    name: 'a leftover that may be a second name of a complete copy is emptied',
    file: 'store/backup/target-file.ts',
    find: '    if (await fileSystem.isSame(path, partial)) await fileSystem.remove?.(partial);',
    replace: '',
    caughtBy: {
      file: contract,
      test: 'does not harm a complete copy whose second name a power cut has left',
    },
  },
  {
    name: 'a map of a copy covers ids of dropped maps',
    file: 'store/moves/map-cuts.ts',
    find: '    if (!this.#isFine || !adjoins || isApart || this.#isApart) this.#close();',
    replace: '    if (!this.#isFine || isApart || this.#isApart) this.#close();',
    caughtBy: {
      file: 'test/store/moves/map-cuts.test.ts',
      test: 'have all values, and only grains of the source',
    },
  },
  {
    name: 'a copy forgets the index after the last map that there ever was',
    file: 'store/backup/copy-layout.ts',
    find: '  return { grainExp, ...none, endIndex, maps: [] };',
    replace: '  return { grainExp, ...none, endIndex: endIndex * 0, maps: [] };',
    caughtBy: { file: sizes, test: 'does not give its ids to other values' },
  },
  {
    name: 'a copy of a reader is not proven at its end',
    file: 'store/backup/backup.ts',
    find: '  await source.prove();',
    replace: '',
    caughtBy: { file: besideWriter, test: 'other values have taken the ids while it read them' },
  },
  {
    name: 'a reader’s backup does not know what was archived before it began',
    file: 'store/backup/reader-source.ts',
    find: '    if (known > batch) await this.#readRetained(known, operation);',
    replace: '',
    caughtBy: {
      file: besideWriter,
      test: 'is of its batch, though a writer commits at every call',
    },
  },
  {
    name: 'closing does not stop long operations',
    file: 'util/operations/operations.ts',
    find: '    for (const operation of this.#running.keys()) operation.stop(error);',
    replace: '',
    caughtBy: { file: failures, test: 'by closing at any call rejects with VARVE_CLOSED' },
  },
  {
    name: 'bandwidth that was not used adds up',
    file: 'util/operations/running-operation.ts',
    find: '    const from = Math.max(this.#clock.now(), this.#paidAt);',
    replace: '    const from = Math.max(0, this.#paidAt);',
    caughtBy: { file: operations, test: 'does not add up while nothing is spent' },
  },
];
