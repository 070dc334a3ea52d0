/**
 * Faults that an assertion of the engine finds, before any test compares a result: counts of nodes,
 * separators, the order in which nodes are stored, holds.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const trees = 'test/forest/trees.test.ts';
const model = 'test/forest/model.test.ts';
const journal = 'test/forest/journal/journal.test.ts';

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
