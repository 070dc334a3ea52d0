/**
 * Faults in what holds when several things happen at once or fail half way: values that are
 * withdrawn, states that are held, changes that fail, bodies that wait.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const held = 'test/forest/held-states.test.ts';
const failed = 'test/forest/failed-changes.test.ts';
const bodies = 'test/forest/commits/bodies.test.ts';
const records = 'test/forest/trees/tree-records.test.ts';

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
