/**
 * Faults in backups: which values are copied, what holds them, what is checked, and when the copy gets
 * its name; and in what all long operations share. Then faults in salvages: which of two states of a
 * thing is the newer, what a record says, what is looked for without marks, and what is lost.
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
const undamaged = 'test/store/salvage/undamaged.test.ts';
const damaged = 'test/store/salvage/damaged.test.ts';
const whileCompacting = 'test/store/salvage/while-compacting.test.ts';
const salvageContract = 'test/store/salvage/salvage-contract.test.ts';
const forest = 'test/forest/salvage/salvage-forest.test.ts';
const oneValue = {
  file: forest,
  test: 'a closed forest without one value of its store has what is left, and reports the keys that are lost',
};

export const faultsOfSalvage: readonly SeededFault[] = [
  {
    name: 'a salvage takes the older of two states of a mark page',
    file: 'store/salvage/found-structures.ts',
    find: '    const isOlder = other !== undefined && other.stamp > stamp;',
    replace: '    const isOlder = other !== undefined && other.stamp < stamp;',
    caughtBy: {
      file: undamaged,
      test: 'a long log are salvaged from a closed store, seed 1',
    },
  },
  {
    name: 'a salvage leaves out the first record after the stamp of a mark page',
    file: 'store/salvage/working-page.ts',
    find: 'segment.isKnown ? segment.stamp + 1 : this.#completeFrom',
    replace: 'segment.isKnown ? segment.stamp + 2 : this.#completeFrom',
    caughtBy: {
      file: undamaged,
      test: 'values of many lengths, settled often are salvaged from a killed store, seed 1',
    },
  },
  {
    name: 'a salvage keeps a last batch of which a value is missing',
    file: 'store/salvage/remains.ts',
    find: '    if (crc !== one.crc) return false;',
    replace: '',
    caughtBy: {
      file: damaged,
      test: 'a last batch that was never acknowledged is taken back if one of its values is not there',
    },
  },
  {
    name: 'a salvage takes the life of the file of which least is left',
    file: 'store/salvage/file-scan.ts',
    find: 'if (chosen === undefined || weightOf(life) > weightOf(chosen)) chosen = life;',
    replace: 'if (chosen === undefined || weightOf(life) < weightOf(chosen)) chosen = life;',
    caughtBy: {
      file: damaged,
      test: 'two lives of one file are kept apart by the salt, with and without a header',
    },
  },
  {
    name: 'a salvage does not look for values where no marks are left',
    file: 'store/salvage/value-check.ts',
    find: '    if (page.hasUnlisted) await this.#look(stratum, page);',
    replace: '',
    caughtBy: {
      file: damaged,
      test: "of a 'closed' store: 'many lengths' all mark pages and heads are gone: values are found by their checksums",
    },
  },
  {
    name: 'a part of a map that was cut has no marks before its own are written',
    file: 'store/salvage/page-group.ts',
    find: '    for (const life of lives.within(page.firstIndex, page.firstIndex + page.grains)) {',
    replace:
      '    for (const life of lives.within(page.firstIndex, page.firstIndex + page.grains)) {\n      if (life !== own) continue;',
    caughtBy: {
      file: whileCompacting,
      test: 'at any call, is salvaged to its live values, seed 1',
    },
  },
  {
    name: 'a salvage gives ids of lost values to others',
    file: 'store/moves/map-cuts.ts',
    find: '    if (this.#open !== undefined && this.#isFine && this.#takeCut()) this.#close();',
    replace: '',
    caughtBy: {
      file: damaged,
      test: "of a 'closed' store: 'many lengths' values are hit: they alone are lost, and reported",
    },
  },
  {
    name: 'a salvage reports nothing of what the disk refuses to read',
    file: 'store/salvage/damaged-file.ts',
    find: '        this.#refused.add(from - within);',
    replace: '',
    caughtBy: {
      file: salvageContract,
      test: 'pages that the disk refuses are reported, and only what is in them is lost',
    },
  },
  {
    name: 'a salvage keeps an embedded header whose value is lost',
    file: 'store/salvage/salvage.ts',
    find: '    if (!hasHeader) state.embeddedHeader = 0n;',
    replace: '',
    caughtBy: {
      file: damaged,
      test: 'an embedded header whose value is lost is none in the copy',
    },
  },
  {
    name: 'a salvaged forest keeps entries whose long value is lost',
    file: 'forest/salvage/tree-repair.ts',
    find: '      if (!nodes.source.has(id)) gone.push(at);',
    replace: '',
    caughtBy: oneValue,
  },
  {
    name: 'a salvaged forest does not count the referents of shared nodes again',
    file: 'forest/salvage/forest-repair.ts',
    find: 'for (let n = 1; n < count; n++) shares.add(one);',
    replace: 'for (let n = 2; n < count; n++) shares.add(one);',
    caughtBy: oneValue,
  },
  {
    name: 'the second tree of a shared node that is lost does not report its keys',
    file: 'forest/salvage/tree-repair.ts',
    find: '    if (known !== undefined) this.lost.push(...known.lost);',
    replace: '',
    caughtBy: oneValue,
  },
  {
    name: 'leaves whose branch is lost are not put back',
    file: 'forest/salvage/forest-repair.ts',
    find: '      return leaves.get(hole.id) ?? [];',
    replace: '      return leaves.size < 0 ? (leaves.get(hole.id) ?? []) : [];',
    caughtBy: {
      file: forest,
      test: 'a branch that is lost has its leaves again, since they can belong to no other tree',
    },
  },
];
