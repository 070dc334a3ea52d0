/**
 * Faults in opening: creation, the lock, which header is believed, which records count, what replay
 * applies, whether the last batch is kept, what recovery writes, how damage is made good.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

export const faultsOfOpening: readonly SeededFault[] = [
  // ── creation and the lock ──
  {
    name: 'a store is made over a file that is no store',
    file: 'store/open/header-choice.ts',
    find: "copies.every(({ state }) => state === 'blank') && isCutCreation(reader)",
    replace: "copies.every(({ state }) => state !== 'damaged')",
    caughtBy: {
      file: 'test/contract/documents/error-table.test.ts',
      test: 'the table of errors in the README says what still works after VARVE_NOT_A_STORE',
    },
  },
  {
    name: 'a store is made over a file that only begins with zeros',
    file: 'store/open/header-choice.ts',
    find: '  return bytes.every((byte) => byte === 0);',
    replace: '  return bytes.length === length;',
    caughtBy: {
      file: 'test/contract/opening.test.ts',
      test: 'a file that is no store is VARVE_NOT_A_STORE and stays as it is: zeros with one other byte at the end',
    },
  },
  {
    name: 'a store is made over zeros that are longer than a new store',
    file: 'store/open/header-choice.ts',
    find: '  if (length > newStoreBytes) return false;',
    replace: '',
    caughtBy: {
      file: 'test/contract/options.test.ts',
      test: 'a creation that was cut short is not assumed if the zeros are longer than a new store',
    },
  },
  {
    name: 'the lock of a writer in another process is ignored',
    file: 'io/node-lock.ts',
    find: '    if (locks === undefined) throw locked(target.path, await platformHolder(identity));',
    replace: '    if (locks === undefined) return { release: async () => undefined };',
    caughtBy: {
      file: 'test/io/node-lock.test.ts',
      test: 'is refused with VARVE_LOCKED while another process has it',
    },
  },
  {
    name: 'a wait for the lock goes on after the signal',
    file: 'store/open/lock-wait.ts',
    find: '        reject(signal.reason);',
    replace: '',
    caughtBy: {
      file: 'test/store/open/lock-wait.test.ts',
      test: 'the signal ends a wait at once, and leaves no timer, no listener and no lock',
    },
  },
  {
    name: 'pauses between two tries of a lock do not grow',
    file: 'store/open/lock-wait.ts',
    find: 'pauseMs = Math.min(pauseMs * 2, pauseMsMax)',
    replace: 'pauseMs = pauseMsMin',
    caughtBy: {
      file: 'test/store/open/lock-wait.test.ts',
      test: 'the pauses grow: a try after 2 ms, and in a minute no more than 20 a second',
    },
  },
  {
    name: 'a writer takes only one of two kinds of lock',
    file: 'io/node-lock.ts',
    find: '  return hasOneKind ? [native] : [native, platform];',
    replace: '  return hasOneKind ? [native] : [native, platform].slice(0, 1);',
    caughtBy: {
      file: 'test/io/node-lock.test.ts',
      test: 'is refused with VARVE_LOCKED while another process has it',
    },
  },
  {
    name: 'the lock of another writer in this process is ignored',
    file: 'io/node-lock.ts',
    find: '  if (heldHere.has(identity)) throw locked(target.path, thisProcess());',
    replace: '',
    caughtBy: {
      file: 'test/io/other-platforms.test.ts',
      test: 'is refused within this process if the kernel’s lock belongs to the process',
    },
  },
  {
    name: 'the folder of a new file is not synced',
    file: 'io/node-file-system.ts',
    find: '      if (file.length() === 0) await syncFolders(path);',
    replace: '',
    caughtBy: {
      file: 'test/io/node-file-system.test.ts',
      test: 'opening in a folder syncs the folder of a new file, new folders, and the one that holds the first',
    },
  },
  {
    name: 'an opening that is refused leaves the file open and locked',
    file: 'store/open/opening.ts',
    find: '    await Promise.allSettled([file.close()]);',
    replace: '',
    caughtBy: {
      file: 'test/contract/opening.test.ts',
      test: 'a file that is no store is VARVE_NOT_A_STORE and stays as it is: a text',
    },
  },
  // ── the file header ──
  {
    name: 'a header marked clean is believed though records follow it',
    file: 'store/open/loading.ts',
    find: '  if (scan.written) return false;',
    replace: '',
    caughtBy: {
      file: 'test/store/readers/read-only.test.ts',
      test: 'recovers an unclosed store in memory, and leaves the file unchanged',
    },
  },
  // ── the log ──
  {
    name: 'the epoch is not raised on opening',
    file: 'store/open/loading.ts',
    find: 'scan.epochMax) + 1;',
    replace: 'scan.epochMax);',
    caughtBy: {
      file: 'test/regression/header-after-reopening.test.ts',
      test: 'recovery confirms the last batch that it kept, in headers of rising generations',
    },
  },
  {
    name: 'a record after the confirmed batch counts though its epoch is old',
    file: 'store/log/log-scan.ts',
    find: '    if (record.batch > confirmed && record.epoch < epoch) return;',
    replace: '',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan counts no record after the confirmed batch that has an older epoch',
    },
  },
  {
    name: 'the record with the older epoch counts if two are of one batch',
    file: 'store/log/log-scan.ts',
    find: 'other.epoch < record.epoch',
    replace: 'other.epoch > record.epoch',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan counts the one with the higher epoch if two records are of one batch',
    },
  },
  {
    name: 'a gap in the log is passed over',
    file: 'store/log/log-scan.ts',
    find: 'record.batch !== base + 1 + at',
    replace: 'record.batch < base + 1 + at',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan takes a gap for corruption: a later record is there',
    },
  },
  {
    name: 'a log that ends before the confirmed batch is taken for whole',
    file: 'store/log/log-scan.ts',
    find: '    if (missing > confirmed) return undefined;',
    replace: '    if (missing > 0) return undefined;',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan takes a confirmed batch that is missing for corruption',
    },
  },
  {
    name: 'a rotten sector is taken for the end of the log',
    file: 'store/log/log-scan.ts',
    find: "      if (found === 'blank') break;",
    replace: '',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan of an empty log finds nothing written',
    },
  },
  {
    name: 'records behind one that was lost are not looked for',
    file: 'store/log/log-scan.ts',
    find: 'const sectorsBeyondEnd = 64;',
    replace: 'const sectorsBeyondEnd = 0;',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan takes a record that has lost its first sector for the last, and looks behind it',
    },
  },
  {
    name: 'the last batch is kept though a value of it is torn',
    file: 'store/open/replay.ts',
    find: 'isLast ? yield* tornValues(parts, record, isConfirmed) : []',
    replace: 'isLast && isConfirmed ? yield* tornValues(parts, record, isConfirmed) : []',
    caughtBy: {
      file: 'test/store/grains/spread-map.test.ts',
      test: 'a map in several extents, with a head, loses only the last batch if its value is torn in any of its places',
    },
  },
  {
    name: 'only the prefixes of the last batch’s values are checked',
    file: 'store/open/replay.ts',
    find: 'found.computed === crc && found.stored === crc',
    replace: 'found.stored === crc',
    caughtBy: {
      file: 'test/store/grains/spread-map.test.ts',
      test: 'a map in several extents, with a head, loses only the last batch if its value is torn in any of its places',
    },
  },
  {
    name: 'the prefix of the last batch’s values is believed, not the record',
    file: 'store/open/replay.ts',
    find: 'found?.length === run.length && found.computed === crc && found.stored === crc',
    replace: 'found !== undefined && found.computed === found.stored',
    caughtBy: {
      file: 'test/damage/lost-writes.test.ts',
      test: 'takes back the last batch of a store that was not closed',
    },
  },
  // ── replay ──
  {
    name: 'replay loses the marks of archived values',
    file: 'store/grains/stratum.ts',
    find: '      if (!page.apply(change, at, run.count)) {',
    replace: "      if (change !== 'archive' && !page.apply(change, at, run.count)) {",
    caughtBy: {
      file: 'test/store/grains/stratum-replay.test.ts',
      test: 'replay applies a change that the marks do not hold yet',
    },
  },
  {
    name: 'replay does not count archived values that are freed',
    file: 'store/grains/stratum.ts',
    find: lines('    this.#count(change, run, map);', "    if (change === 'archive') return;"),
    replace: lines(
      '    this.#count(change, run, map);',
      "    if (change === 'free') this.archivedValues += 1;",
      "    if (change === 'archive') return;",
    ),
    caughtBy: {
      file: 'test/store/grains/stratum-replay.test.ts',
      test: 'replay applies a change that the marks do not hold yet',
    },
  },
  {
    name: 'replay counts again what the basin has counted',
    file: 'store/open/replay.ts',
    find: 'const as = batch > basin.stamp ? counted : notCounted;',
    replace: 'const as = batch > 0 ? counted : notCounted;',
    caughtBy: {
      file: 'test/store/commit/commit-plan.test.ts',
      test: 'a plan has a record from which the same Atlas is made again',
    },
  },
  {
    name: 'replay applies to a mark page what its stamp says it has',
    file: 'store/grains/stratum.ts',
    find: 'if (as.batch > page.stamp)',
    replace: 'if (as.batch >= page.stamp)',
    caughtBy: {
      file: 'test/store/commit/commit-plan.test.ts',
      test: 'a plan has a record from which the same Atlas is made again',
    },
  },
  {
    name: 'replay does not give back the maps that the log gave back',
    file: 'store/open/replay.ts',
    find: '        atlas.dropMap(stratum, operation.firstIndex);',
    replace: '',
    caughtBy: {
      file: 'test/regression/healed-basin-drops-again.test.ts',
      test: 'content in the place of a dropped map, whose marks are as they were, is not lost',
    },
  },
  {
    name: 'the log continues over the last record that was kept',
    file: 'store/open/loading.ts',
    find: 'Math.max(position, sector + head.sectors)',
    replace: 'Math.max(position, sector)',
    caughtBy: {
      file: 'test/store/grains/spread-map.test.ts',
      test: 'large values go through the borders of extents, pushed and put, waiting or not',
    },
  },
  // ── recovery ──
  // ── damage ──
  {
    name: 'a damaged page is replaced by its twin without the log since',
    file: 'store/grains/map-loader.ts',
    find: '        this.#catchUp(page, lacking);',
    replace: '        void lacking;',
    caughtBy: {
      file: 'test/store/settle/healing.test.ts',
      test: 'a mark page that is damaged, of a map with a head, is made good from its twin and the log since',
    },
  },
  {
    name: 'opening does not write the last batch again',
    file: 'store/open/recovery.ts',
    find: 'for (const { offset, bytes } of stretches) yield*',
    replace: 'for (const { offset, bytes } of []) yield*',
    caughtBy: { file: 'test/crash/failed-syncs.test.ts' },
  },
  {
    name: 'opening confirms the last batch with the sync of what that batch wrote, not after it',
    file: 'store/open/recovery.ts',
    find: 'if (isUnproven || !choice.agreed) yield datasync;',
    replace: 'if (!choice.agreed) yield datasync;',
    caughtBy: {
      file: 'test/crash/failed-syncs.test.ts',
      test: 'a datasync that fails, and an opening without a reboot one commit',
    },
  },
  {
    name: 'opening does not sync the header that it relies on',
    file: 'store/open/recovery.ts',
    find: '  if (!choice.agreed) {',
    replace: '  if (false) {',
    caughtBy: {
      file: 'test/store/settle/write-order.test.ts',
      test: 'nothing that a copy of the file header relies on is overwritten, in the openings after a failed sync of close and reopen',
    },
  },
  {
    name: 'opening overwrites the older of two equal header copies, the only durable one',
    file: 'store/open/recovery.ts',
    find: 'headers.doubt(choice.agreed ? choice.copy : 1 - choice.copy);',
    replace: 'headers.doubt(1 - choice.copy);',
    caughtBy: {
      file: 'test/store/settle/write-order.test.ts',
      test: 'nothing that a copy of the file header relies on is overwritten, in the openings after a failed sync of close and reopen',
    },
  },
  {
    name: 'opening overwrites the newer of two header copies that differ',
    file: 'store/open/recovery.ts',
    find: 'choice.agreed ? choice.copy : 1 - choice.copy',
    replace: 'choice.copy',
    caughtBy: {
      file: 'test/store/settle/write-order.test.ts',
      test: 'nothing that a copy of the file header relies on is overwritten, in the openings after a failed sync of group commit',
    },
  },
  {
    name: 'a batch that opening took back is left in the log',
    file: 'store/open/recovery.ts',
    find: '  if (after.length === 0) return;',
    replace: '  if (after.length >= 0) return;',
    caughtBy: {
      file: 'test/store/open/recovery-writes.test.ts',
      test: 'an opening that takes a batch back leaves no record of it',
    },
  },
  {
    name: 'every blank copy of the file header counts as not yet written by creation',
    file: 'format/file-header.ts',
    find: '  return copy === 1 && header.generation === 1;',
    replace: '  return copy >= 0 && header.generation <= 2;',
    caughtBy: {
      file: 'test/store/open/header-choice.test.ts',
      test: 'the choice between two copies of the file header takes a blank one for damage unless it is copy 1 and creation was cut before it',
    },
  },
  {
    name: 'below a healed basin the page that its twin names counts, however old it is',
    file: 'store/file/twins.ts',
    find: 'if (parentStamp === undefined) return undefined;',
    replace: 'if (parentStamp !== 0) return undefined;',
    caughtBy: {
      file: 'test/regression/healed-with-newer-pages.test.ts',
      test: 'the healing of a basin whose twin names older pages keeps every value, also after the next settles',
    },
  },
  {
    name: 'below a healed parent a page of an earlier map at that place counts as a newer one',
    file: 'store/file/twins.ts',
    find: 'stamp >= parentStamp && ',
    replace: '',
    caughtBy: {
      file: 'test/store/file/twins.test.ts',
      test: 'a newer page of an earlier map at this place does not count',
    },
  },
  {
    name: 'the marks of a healed map are not counted',
    file: 'store/grains/map-loader.ts',
    find: 'if (this.#healed.size > 0) checkHealed',
    replace: 'if (this.#healed.size < 0) checkHealed',
    caughtBy: {
      file: 'test/regression/healed-with-newer-pages.test.ts',
      test: 'the healing of the head of a map whose twin names older pages reports the loss if the newer page is damaged too',
    },
  },
];
