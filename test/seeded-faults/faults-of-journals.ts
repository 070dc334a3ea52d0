/**
 * Faults in the writing of earlier states: what is logged, listed, kept in memory and archived
 * while commits write a state bit by bit. And faults in what holds when several things happen at
 * once or fail half way: values that are withdrawn, states that are held, changes that fail, bodies
 * that wait.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const frozen = 'test/forest/journal/frozen-state.test.ts';

const held = 'test/forest/held-states.test.ts';
const failed = 'test/forest/failed-changes.test.ts';
const bodies = 'test/forest/commits/bodies.test.ts';
const records = 'test/forest/trees/tree-records.test.ts';

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

export const faultsOfHeldStates: readonly SeededFault[] = [
  {
    name: 'a node that its commit withdraws keeps the id, whose grains are free',
    file: 'forest/commits/commit-preparation.ts',
    find: '    if (this.#group.stored.delete(ref)) ref.unstore();',
    replace: '',
    caughtBy: { file: held, test: 'keeps the content that snapshots and iterators read' },
  },
  {
    name: 'a value of the user that its commit withdraws is taken for archived',
    file: 'forest/commits/commit-preparation.ts',
    find: '    if (this.#group.pushed.delete(id)) this.#group.archives.delete(id);',
    replace: '',
    caughtBy: { file: held, test: 'can name the next value' },
  },
  {
    name: 'a put copies the root before it has read the leaf',
    file: 'forest/trees/tree-editor.ts',
    find: '    const leaf = this.#readPath(this.#ref, key);',
    replace: lines(
      '    this.#ref = this.#own(this.#ref);',
      '    const leaf = this.#readPath(this.#ref, key);',
    ),
    caughtBy: { file: failed, test: 'changes nothing: the tree stays' },
  },
  {
    name: 'a failed transaction is not settled if its pushes cannot be taken back',
    file: 'forest/commits/working-state.ts',
    find: '      if (!isOver) throw error;',
    replace: '      throw error;',
    caughtBy: { file: failed, test: 'settles, and later transactions do too' },
  },
  {
    name: 'an error in reading the result of a body is not caught',
    file: 'forest/commits/body-runner.ts',
    find: lines('    try {', '      result = runIn(tx, waiting);'),
    replace: lines(
      '    try {',
      '      result = runIn(tx, waiting);',
      '    } catch (error) {',
      '      this.#giveUp(tx, waiting, error);',
      '      return false;',
      '    }',
      '    const awaits = isThenable(result);',
      '    try {',
      '      if (awaits !== isThenable(result)) return false;',
    ),
    caughtBy: { file: failed, test: 'whose result throws when it is read' },
  },
  {
    name: 'a failed transaction leaves the writes of its session to the next',
    file: 'forest/commits/working-state.ts',
    find: '    if (this.#group.waiters.length === 0) this.#startAnew();',
    replace: '',
    caughtBy: { file: failed, test: 'that throws leaves no refused write to the next' },
  },
  {
    name: 'a fork stores nodes that a commit before it is about to store',
    file: 'forest/transactions/transaction.ts',
    find: '    this.#start.beforeStoring();',
    replace: '',
    caughtBy: { file: bodies, test: 'is prepared completely when a body forks' },
  },
  {
    name: 'bodies that wait leave the event loop no turn',
    file: 'forest/commits/forest-writer.ts',
    find: '      if (mayRest && this.#queue.length > 0 && this.#breather?.due === true) {',
    replace: '      if (mayRest && this.#breather?.due === undefined) {',
    caughtBy: { file: bodies, test: 'give others their turns' },
  },
  {
    name: 'a put that comes while others have their turn overtakes those that wait',
    file: 'forest/commits/forest-writer.ts',
    find: '    return this.running !== undefined || this.#isResting;',
    replace: '    return this.running !== undefined;',
    caughtBy: { file: bodies, test: 'give others their turns' },
  },
  {
    name: 'a write within a body is refused only before its first await',
    file: 'forest/transactions/body-context.ts',
    find: '  return has(onStack, body) || has(storage?.getStore(), body);',
    replace: '  return has(onStack, body);',
    caughtBy: { file: bodies, test: 'is refused, before and after an await' },
  },
  {
    name: 'a held version finds the record that a later one has',
    file: 'forest/trees/tree-records.ts',
    find: '    while (entry !== undefined && entry.from > version) entry = entry.older;\n    return entry;',
    replace: '    return entry;',
    caughtBy: { file: records, test: 'are the records of each version' },
  },
  {
    name: 'a record that the catalog of a held version lacks is evicted',
    file: 'forest/trees/tree-records.ts',
    find: '    return older === undefined && (stored <= from || stored <= this.#oldestHeld);',
    replace: '    return older === undefined && stored <= Number.MAX_SAFE_INTEGER;',
    caughtBy: { file: records, test: 'stay, beyond the bound' },
  },
  {
    name: 'replaced long values wait in the file without a bound',
    file: 'forest/journal/journal-bounds.ts',
    find: '      part(one.valueBytes + added.valueBytes, roomBeside(other.valueBytes, bytesMax, share)),',
    replace: '',
    caughtBy: {
      file: 'test/forest/journal/journal.test.ts',
      test: 'that are long are freed before',
    },
  },
];
