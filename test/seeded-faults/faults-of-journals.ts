/**
 * Faults in the writing of earlier states: what is logged, listed, kept in memory and archived
 * while commits write a state bit by bit.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const frozen = 'test/forest/journal/frozen-state.test.ts';

export const faultsOfJournals: readonly SeededFault[] = [
  {
    name: 'a node that an earlier state has yet to write is forgotten when it is replaced',
    file: 'forest/commits/durable-state.ts',
    find: '      if (frozen?.awaits(ref) === true) frozen.replaced(ref);',
    replace: '      if (frozen?.awaits(ref) === true && ref.stored) frozen.replaced(ref);',
    caughtBy: { file: frozen, test: 'push a few nodes each, and never many' },
  },
  {
    name: 'a replaced node that an earlier state writes later is archived by no commit',
    file: 'forest/journal/journal.ts',
    find: '    return ref.stored || this.#frozen?.awaits(ref) === true;',
    replace: '    return ref.stored;',
    caughtBy: { file: frozen, test: 'push a few nodes each, and never many' },
  },
  {
    name: 'a root does not say which earlier roots list written nodes',
    file: 'forest/journal/journal.ts',
    find: '    if (lists || this.#listed > 0) this.#listed += 1;',
    replace: '    if (lists && this.#listed > 0) this.#listed += 1;',
    caughtBy: { file: frozen, test: 'a crash loses nothing' },
  },
  {
    name: 'an opening takes the nodes that only the newest commit wrote for all written ones',
    file: 'forest/commits/stored-state.ts',
    find: '  return chain.slice(-1 - listed).flatMap(({ root }) => root.written);',
    replace: '  return listed < 0 ? [] : (chain.at(-1)?.root.written.slice() ?? []);',
    caughtBy: { file: frozen, test: 'a crash loses nothing' },
  },
  {
    name: 'an opening takes nodes of a state that was written whole for unreached ones',
    file: 'forest/journal/journal.ts',
    find: lines('    this.stored = { catalog, shares };', '    this.#listed = 0;'),
    replace: '    this.stored = { catalog, shares };',
    caughtBy: { file: frozen, test: 'are followed by one that names it' },
  },
  {
    name: 'a root that names an earlier state drops the changes since it was frozen',
    file: 'forest/journal/journal.ts',
    find: '    return this.#roots.length - (frozen === this.#frozen ? this.#current.roots : 0);',
    replace: '    return this.#roots.length - (frozen === this.#frozen ? 1 : 0);',
    caughtBy: { file: frozen, test: 'are followed by one that names it' },
  },
  {
    name: 'changes that cannot be done again are lost once an earlier state is named',
    file: 'forest/journal/journal.ts',
    find: '[...kept, ...entry.logs]',
    replace: '[...entry.logs]',
    caughtBy: { file: frozen, test: 'is written beside trees whose nodes are damaged' },
  },
  {
    name: 'what nothing reaches once a state is named is not listed',
    file: 'forest/commits/commit-preparation.ts',
    find: 'unreached.length === 0 ? pushed : [...pushed, ...unreached],',
    replace: 'pushed,',
    caughtBy: { file: frozen, test: 'a crash loses nothing while replaced nodes are archived' },
  },
  {
    name: 'nodes of a commit that failed count as written',
    file: 'forest/commits/commit-preparation.ts',
    find: lines(
      '      context.nodes.push(session, ref, shape);',
      '      stored.add(ref);',
      '      written.push(ref.id);',
    ),
    replace: lines(
      '      if (!ref.stored) context.nodes.push(session, ref, shape);',
      '      written.push(ref.id);',
    ),
    caughtBy: { file: frozen, test: 'a commit that fails is made up for by the next ones' },
  },
  {
    name: 'the catalog is believed to have records that are newer than the state it was written for',
    file: 'forest/trees/tree-records.ts',
    find: '      if (lacking.has(name)) continue;',
    replace: '',
    caughtBy: {
      file: 'test/forest/trees/tree-records.test.ts',
      test: 'are the records of each version',
    },
  },
  {
    name: 'all nodes of an earlier state are written by one commit',
    file: 'forest/journal/frozen-state.ts',
    find: 'Math.ceil(length * Math.min(1, part))',
    replace: 'length + 0 * part',
    caughtBy: { file: frozen, test: 'push a few nodes each, and never many' },
  },
  {
    name: 'an earlier state is frozen only once the journal has all that it may have',
    file: 'forest/journal/journal-bounds.ts',
    find: 'const generationShare = 1 / 2;',
    replace: 'const generationShare = 1;',
    caughtBy: { file: frozen, test: 'push a few nodes each, and never many' },
  },
  {
    name: 'each commit writes the nodes that are due, however few',
    file: 'forest/journal/frozen-state.ts',
    find: 'due < this.#written + atOnce',
    replace: 'due < this.#written',
    caughtBy: { file: frozen, test: 'push a few nodes each, and never many' },
  },
  {
    name: 'a root begins like the one before, although nodes were stored since',
    file: 'forest/journal/forest-root.ts',
    find: 'return isSameTree && one.nextSeal === other.nextSeal;',
    replace: 'return one.nextSeal === other.nextSeal;',
    caughtBy: {
      file: frozen,
      test: 'are followed by one that names it and drops the roots before it',
    },
  },
  {
    name: 'a commit in one step does not archive what nothing reaches any more',
    file: 'forest/commits/commit-preparation.ts',
    find: '!isLogged || journal.hasUnreached ||',
    replace: '!isLogged ||',
    caughtBy: {
      file: frozen,
      test: 'are followed by one that names it and drops the roots before it',
    },
  },
  {
    name: 'a commit in one step does not archive what a failed transaction has left',
    file: 'forest/commits/commit-preparation.ts',
    find: 'archives.size + claims.length + leftOver.length > 0',
    replace: 'archives.size + claims.length > 0',
    caughtBy: { file: frozen, test: 'a crash loses nothing while replaced nodes are archived' },
  },
];
