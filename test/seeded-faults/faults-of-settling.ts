/**
 * Faults in settling: the order of its steps, the slots and stamps of structures, what is marked as
 * changed, the copies of the file header, the segments of the commit log and when they are reused.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

export const faultsOfSettling: readonly SeededFault[] = [
  // ── the steps ──
  {
    name: 'a settle has one step: the header goes into the sync of what it names',
    file: 'store/settle/settle.ts',
    find: '      if (next.done === true) this.#settled = this.#stateWith(next.value);',
    replace: lines(
      '      if (next.done === true) {',
      '        this.#settled = this.#stateWith(next.value);',
      '        this.synced(this.#parts.log.next !== undefined);',
      '      }',
    ),
    caughtBy: {
      file: 'test/store/settle/write-order.test.ts',
      test: 'nothing that a copy of the file header relies on is overwritten, in archive, checkpoint, reuse',
    },
  },
  {
    name: 'both copies of the file header go into one sync',
    file: 'store/settle/housekeeping.ts',
    find: "    add('header', this.#parts.headers.plan(this.#parts.published.currentBatch));",
    replace: lines(
      "    add('header', this.#parts.headers.plan(this.#parts.published.currentBatch));",
      '    this.#parts.headers.synced();',
      "    add('header', this.#parts.headers.plan(this.#parts.published.currentBatch));",
    ),
    caughtBy: {
      file: 'test/crash/housekeeping-failures.test.ts',
      test: 'a file header cannot be written for a while: the next commit rejects, and later ones are accepted',
    },
  },
  {
    name: 'a file header confirms the batch that is under way',
    file: 'store/settle/housekeeping.ts',
    find: 'this.#parts.headers.plan(this.#parts.published.currentBatch)',
    replace: 'this.#parts.headers.plan(this.#parts.published.currentBatch + 1)',
    caughtBy: {
      file: 'test/store/verify/verify.test.ts',
      test: 'a fault in the marks is found if marks are impossible',
    },
  },
  // ── slots and stamps ──
  {
    name: 'a basin is written over the copy of it that is named',
    file: 'store/settle/settle.ts',
    find: 'const generation = old.generation + 1;',
    replace: 'const generation = old.generation + 2;',
    caughtBy: {
      file: 'test/store/settle/healing.test.ts',
      test: 'a basin that is damaged, of a map with a head, is corruption if the log since is gone',
    },
  },
  {
    name: 'a mark page is written over the copy of it that is named',
    file: 'store/marks/mark-page.ts',
    find: 'this.name.generation + (this.#damaged ? 2 : 1)',
    replace: 'this.name.generation + 2',
    caughtBy: {
      file: 'test/store/settle/write-order.test.ts',
      test: 'nothing that a copy of the file header relies on is overwritten, in group commit',
    },
  },
  {
    name: 'the head of a map is written over the copy of it that is named',
    file: 'store/grains/grain-map.ts',
    find: 'this.name.generation + (this.#damaged ? 2 : 1)',
    replace: 'this.name.generation + 2',
    caughtBy: {
      file: 'test/store/settle/healing.test.ts',
      test: 'a map of one mark page has no head in the file, a larger map has one',
    },
  },
  {
    name: 'the stamp of a mark page is one batch late',
    file: 'store/settle/settle.ts',
    find: '    const stamp = this.#stamp;',
    replace: '    const stamp = this.#stamp + 1;',
    caughtBy: {
      file: 'test/store/settle/healing.test.ts',
      test: 'a mark page that is damaged, of a map with a head, is made good from its twin and the log since',
    },
  },
  // ── what has changed ──
  {
    name: 'the mark page of a value that was committed is not marked as changed',
    file: 'store/grains/stratum.ts',
    find: lines('    this.pages.changed(page, map);', '    this.#count(change, run, map);'),
    replace: lines(
      "    if (change !== 'allocate') this.pages.changed(page, map);",
      '    this.#count(change, run, map);',
    ),
    caughtBy: {
      file: 'test/store/grains/stratum-replay.test.ts',
      test: 'replay applies a change that the marks do not hold yet',
    },
  },
  {
    name: 'the mark page of a value that was archived is not marked as changed',
    file: 'store/grains/stratum.ts',
    find: lines('    this.pages.changed(page, map);', '    this.#count(change, run, map);'),
    replace: lines(
      "    if (change !== 'archive') this.pages.changed(page, map);",
      '    this.#count(change, run, map);',
    ),
    caughtBy: {
      file: 'test/regression/simulated.test.ts',
      test: 'seeded-mark-page-not-dirty.json',
    },
  },
  {
    name: 'the mark page of a value that was freed is not marked as changed',
    file: 'store/grains/stratum.ts',
    find: lines('    this.pages.changed(page, map);', '    this.#count(change, run, map);'),
    replace: lines(
      "    if (change !== 'free') this.pages.changed(page, map);",
      '    this.#count(change, run, map);',
    ),
    caughtBy: {
      file: 'test/regression/checkpoint-reads-marks-first.test.ts',
      test: 'a map that cannot be read rejects the checkpoint before anything is written',
    },
  },
  {
    name: 'a mark page that replay changed is not marked as changed',
    file: 'store/grains/stratum.ts',
    find: lines('      this.pages.changed(page, map);', '    }', '    if (as.counted)'),
    replace: lines('    }', '    if (as.counted)'),
    caughtBy: {
      file: 'test/store/grains/stratum-replay.test.ts',
      test: 'replay applies a change that the marks do not hold yet',
    },
  },
  {
    name: 'a basin is not marked as changed by a batch',
    file: 'store/grains/basin-state.ts',
    find: lines('  touched(): void {', '    this.dirty = true;'),
    replace: '  touched(): void {',
    caughtBy: {
      file: 'test/regression/healed-basin-drops-again.test.ts',
      test: 'content in the place of a dropped map, whose marks are as they were, is not lost',
    },
  },
  {
    name: 'a basin is not marked as changed when a mark page of it is written',
    file: 'store/settle/settle.ts',
    find: '    for (const { stratum } of this.#dirty) atlas.basinOf(stratum).touched();',
    replace: '',
    caughtBy: {
      file: 'test/regression/healed-page-is-settled.test.ts',
      test: 'values of a healed head of a map are there after a checkpoint and an opening',
    },
  },
  {
    name: 'the head of a map is not written with its mark pages',
    file: 'store/settle/settle.ts',
    find: '    for (const [map, stratum] of maps) if (map.hasHead) yield this.#mapHead(stratum, map);',
    replace: '    void maps;',
    caughtBy: {
      file: 'test/store/settle/healing.test.ts',
      test: 'a map of one mark page has no head in the file, a larger map has one',
    },
  },
  // ── the commit log ──
  {
    name: 'consecutive records are in one lane and share a page',
    file: 'format/layout.ts',
    find: 'export const lanesPerSegment = 2;',
    replace: 'export const lanesPerSegment = 1;',
    caughtBy: {
      file: 'test/store/log/commit-log.test.ts',
      test: 'the commit log counts the bytes that it has written since the last settle',
    },
  },
  {
    name: 'a segment of the log is used before both header copies list it',
    file: 'store/log/commit-log.ts',
    find: "const next = this.#next?.state === 'ready' ? this.#next.segment : undefined;",
    replace: 'const next = this.#next?.segment;',
    caughtBy: {
      file: 'test/store/log/commit-log.test.ts',
      test: 'the commit log drops no segment that its records continue in',
    },
  },
  {
    name: 'the next segment of the log is not filled with zeros',
    file: 'store/settle/housekeeping.ts',
    find: '    return { offset: page * pageBytes, chunks: zeroPages(pages) };',
    replace: '    return pages > 0 ? undefined : { offset: page, chunks: [] };',
    caughtBy: {
      file: 'test/crash/housekeeping-failures.test.ts',
      test: 'a log segment cannot be written once: no caller gets an error',
    },
  },
  {
    name: 'a segment of the log is given back while its last batch is after the checkpoint',
    file: 'store/log/commit-log.ts',
    find: 'following.firstBatch - 1 <= checkpoint',
    replace: 'following.firstBatch - 2 <= checkpoint',
    caughtBy: {
      file: 'test/store/log/commit-log.test.ts',
      test: 'the commit log drops no segment that its records continue in',
    },
  },
  {
    name: 'the body of a record is given back one batch before its checkpoint',
    file: 'store/log/commit-log.ts',
    find: lines(
      '    const bodies = this.#bodies.filter((body) => body.batch > checkpoint);',
      '    dropped.push(...this.#bodies.filter((body) => body.batch <= checkpoint));',
    ),
    replace: lines(
      '    const bodies = this.#bodies.filter((body) => body.batch > checkpoint + 1);',
      '    dropped.push(...this.#bodies.filter((body) => body.batch <= checkpoint + 1));',
    ),
    caughtBy: {
      file: 'test/store/log/commit-log.test.ts',
      test: 'the commit log writes no record over a live one, and frees the places of stale ones',
    },
  },
  {
    name: 'a segment of the log that was given back stays in the list, to be freed twice',
    file: 'store/log/commit-log.ts',
    find: '    this.#segments = this.#segments.filter((segment) => !gone.has(segment));',
    replace: '',
    caughtBy: {
      file: 'test/store/commit/own-maps.test.ts',
      test: 'a value among the many of a shared map leaves its place to the next',
    },
  },
  {
    name: 'values can be written to pages where zeros are being written ahead',
    file: 'store/settle/housekeeping.ts',
    find: 'chunks: zeroPages(pages), blocking: true }',
    replace: 'chunks: zeroPages(pages), blocking: false }',
    caughtBy: {
      file: 'test/store/settle/housekeeping.test.ts',
      test: 'zeros ahead of need are written on the calling thread',
    },
  },
];
