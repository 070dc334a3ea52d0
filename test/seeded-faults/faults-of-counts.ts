/**
 * Faults that an assertion finds, before any test compares a result. Of the forest: counts of nodes,
 * separators, the order in which nodes are stored, holds. Of the store: counters that differ from the
 * marks, grains and pages that are given back twice, batches out of order.
 *
 * Invariant: those of the store name words of the assertion. That the test fails is not enough.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const trees = 'test/forest/trees.test.ts';
const model = 'test/forest/model.test.ts';
const journal = 'test/forest/journal/journal.test.ts';
const stratum = 'test/store/grains/stratum.test.ts';
const findsFreed = 'a stratum finds a freed run before a map has to be added';

export const faultsOfCounts: readonly SeededFault[] = [
  {
    name: 'a branch does not count what is put below it',
    file: 'forest/trees/tree-editor.ts',
    find: '      branch.counts[at] = (branch.counts[at] as number) + added;',
    replace: '      branch.counts[at] = branch.counts[at] as number;',
    caughtBy: { file: journal, test: 'pushes one value, whatever nodes it changes' },
  },
  {
    name: 'the separator of two leaves is a prefix of the left one',
    file: 'forest/nodes/node-split.ts',
    find: '  return after.slice(0, shared + 1);',
    replace: '  return after.slice(0, shared);',
    caughtBy: { file: model, test: 'answers as plain maps do' },
  },
  {
    name: 'a branch is stored before its children',
    file: 'forest/trees/edit.ts',
    find: lines(
      '  if (!node.leaf) yield* storeBelow(nodes, session, node, shape);',
      '  yield pushed(nodes, session, ref, shape);',
    ),
    replace: lines(
      '  yield pushed(nodes, session, ref, shape);',
      '  if (!node.leaf) yield* storeBelow(nodes, session, node, shape);',
    ),
    caughtBy: { file: trees, test: 'gives its space back by itself' },
  },
  {
    name: 'a leaf of an earlier transaction is changed in place',
    file: 'forest/trees/tree-editor.ts',
    find: '    if (leaf.owner === this.#edit.owner) return leaf;',
    replace: '    if (leaf.owner <= this.#edit.owner) return leaf;',
    caughtBy: { file: trees, test: 'keeps the state at its creation while every node of it' },
  },
  {
    name: 'entries that do not lie side by side are copied as if they did',
    file: 'forest/nodes/sorted-entries.ts',
    find: '      if (offset !== end) {',
    replace: '      if (offset < end) {',
    caughtBy: { file: model, test: 'answers as plain maps do' },
  },
  {
    name: 'a snapshot that is released twice releases the states of others',
    file: 'forest/commits/forest-version.ts',
    find: '        if (!held) return;',
    replace: '',
    caughtBy: { file: trees, test: 'stays as it was, and is refused once released' },
  },
];

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
    file: 'store/file/reserve.ts',
    find: lines('    this.#extent = undefined;', '    return extent;'),
    replace: '    return extent;',
    caughtBy: { file: 'test/store/file/space.test.ts', assertion: 'a stretch is freed once' },
  },
];
