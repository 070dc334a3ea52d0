/**
 * Faults that an assertion of the store notices, before any test compares a result: counters that
 * differ from the marks, grains and pages that are given back twice, batches out of order.
 *
 * Invariant: each names words of its assertion. That the test fails is not enough.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const stratum = 'test/store/grains/stratum.test.ts';
const findsFreed = 'a stratum finds a freed run before a map has to be added';

export const faultsOfInvariants: readonly SeededFault[] = [
  {
    name: 'the second grain of a published value stays free',
    file: 'store/marks/mark-page.ts',
    find: 'fillRun(marks, at + 1, at + count, markContinues);',
    replace: 'fillRun(marks, at + 2, at + count, markContinues);',
    caughtBy: { file: stratum, test: findsFreed, assertion: 'committed grains of a map' },
  },
  {
    name: 'the grains of a freed value stay counted in its map',
    file: 'store/grains/stratum.ts',
    find: '    map.countCommitted(sign * run.count);',
    replace: '    if (sign > 0) map.countCommitted(run.count);',
    caughtBy: { file: stratum, test: findsFreed, assertion: 'committed grains are not released' },
  },
  {
    name: 'an archived value is not counted as one',
    file: 'store/grains/stratum.ts',
    find: "this.archivedValues += change === 'archive' ? 1 : -1;",
    replace: "this.archivedValues += change === 'archive' ? 0 : -1;",
    caughtBy: { file: stratum, test: findsFreed, assertion: 'archived values of a stratum' },
  },
  {
    name: 'the grains of a freed value are released twice',
    file: 'store/grains/stratum.ts',
    find: "    if (change === 'free') this.release(index, count);",
    replace: lines(
      "    if (change === 'free') this.release(index, count);",
      "    if (change === 'free') this.release(index, count);",
    ),
    caughtBy: { file: stratum, test: findsFreed, assertion: 'grains are freed once' },
  },
  {
    name: 'the grains of a pushed value are not reserved',
    file: 'store/grains/grain-allocator.ts',
    find: lines(
      "    assert(at + count <= this.#end, 'the current run has room');",
      '    setRun(page.taken, at, count);',
    ),
    replace: "    assert(at + count <= this.#end, 'the current run has room');",
    caughtBy: { file: stratum, test: findsFreed, assertion: 'only reserved or committed grains' },
  },
  {
    name: 'a batch skips a number',
    file: 'store/commit/commit-plan.ts',
    find: 'currentBatch: before.currentBatch + 1,',
    replace: 'currentBatch: before.currentBatch + 2,',
    caughtBy: {
      file: 'test/store/commit/write-ahead.test.ts',
      assertion: 'a record follows that of the published batch',
    },
  },
  {
    name: 'a block that is in the cache is read into a second slot',
    file: 'store/values/block-cache.ts',
    find: '    if (found < 0) return this.#read(block);',
    replace: '    if (found < 0 || block > 0) return this.#read(block);',
    caughtBy: { file: 'test/store/freed-reads.test.ts', assertion: 'a block has one cell' },
  },
  {
    name: 'the reserve stays in reserve after it was freed',
    file: 'store/file/space.ts',
    find: lines('    this.#reserve = undefined;', '    this.free(reserve.page, reserve.pages);'),
    replace: '    this.free(reserve.page, reserve.pages);',
    caughtBy: { file: 'test/store/file/space.test.ts', assertion: 'a stretch is freed once' },
  },
];
