/**
 * Faults in the compaction of a forest: what is stored anew, what forks go on sharing, which pushed
 * values may move; and maps that the store moves out of the way.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const walk = 'test/forest/compact/walk.test.ts';
const compact = 'test/forest/compact/compact.test.ts';
const pushed = 'test/forest/compact/moved-pushed.test.ts';
const unseen = 'changes nothing that is seen, beside writers and forks';
const own = 'moves nodes of the shares and of the catalog';
const shared = 'moves all that is thin, and stores no more nodes';

export const faultsOfForestCompacting: readonly SeededFault[] = [
  {
    name: 'a rewritten node is copied below a branch that others still have',
    file: 'forest/compact/tree-rewriter.ts',
    find: '    for (let depth = 0; depth < this.#path.length; depth++) {',
    replace: '    for (let depth = this.#path.length - 1; depth < this.#path.length; depth++) {',
    caughtBy: { file: walk, test: unseen },
  },
  {
    name: 'a tree takes a twin and does not count itself as a referent',
    file: 'forest/compact/tree-rewriter.ts',
    find: '    this.#sharing.share(twin.id);\n',
    replace: '',
    caughtBy: { file: walk, test: unseen },
  },
  {
    name: 'a twin that a transaction has dropped is still taken',
    file: 'forest/compact/twins.ts',
    find: lines('      this.#old.delete(id);', '      this.#nodes.delete(old);'),
    replace: '      this.#old.delete(id);',
    caughtBy: { file: walk, test: unseen },
  },
  {
    name: 'what others changed between two steps counts as the twin of a shared node',
    file: 'forest/compact/tree-rewriter.ts',
    find: 'isShared && (!isResumed || this.#isTwin(first))',
    replace: 'isShared',
    caughtBy: { file: walk, test: unseen },
  },
  {
    name: 'forks do not share what is stored anew',
    file: 'forest/compact/tree-rewriter.ts',
    find: '      this.#twins.addNode(old, ref);\n',
    replace: '',
    caughtBy: { file: walk, test: shared },
  },
  {
    name: 'a history does not share the long values of its tree any more',
    file: 'forest/compact/tree-rewriter.ts',
    find: '    if (this.#extra(id) > 0) this.#twins.addLong(id, named);\n',
    replace: '',
    caughtBy: { file: walk, test: shared },
  },
  {
    name: 'leaves that another tree shares are packed',
    file: 'forest/compact/tree-rewriter.ts',
    find: '!stored || this.#extra(id) <= (isOwn && isShared ? 1 : 0);',
    replace: '!stored || this.#extra(id) >= 0 || isOwn;',
    caughtBy: { file: walk, test: shared },
  },
  {
    name: 'packed leaves of a tree with a reducer are stored without its values',
    file: 'forest/compact/tree-rewriter.ts',
    find: '    this.#tree.summarize(frame.ref);\n',
    replace: '',
    caughtBy: {
      file: compact,
      test: 'is as small as a fresh one after deleting most of a tree with',
    },
  },
  {
    name: 'a walk goes on before the key where it ended',
    file: 'forest/compact/tree-rewriter.ts',
    find: '    this.#endAt((this.#top.node as Branch).separators.key(child - 1));',
    replace: lines(
      '    const { separators } = this.#top.node as Branch;',
      '    this.#endAt(separators.key(Math.min(child, separators.count - 1)));',
    ),
    caughtBy: { file: walk, test: shared },
  },
  {
    name: 'the nodes of the shares stay in thin maps',
    file: 'forest/compact/compact-walk.ts',
    find: "    if (this.#position === undefined) this.#phase = 'shares';",
    replace: "    if (this.#position === undefined) this.#phase = 'catalog';",
    caughtBy: { file: walk, test: own },
  },
  {
    name: 'rewritten shares are not committed',
    file: 'forest/transactions/transaction.ts',
    find: '    if (this.edit.sharesRoot.ref !== ref) this.needsNodes = true;\n',
    replace: '    void ref;\n',
    caughtBy: { file: walk, test: own },
  },
  {
    name: 'listeners are told of trees whose nodes alone have moved',
    file: 'forest/commits/group.ts',
    find: '      if (changed) this.named.add(name);',
    replace: '      if (changed || !changed) this.named.add(name);',
    caughtBy: { file: compact, test: 'is not told of by onCommit' },
  },
  {
    name: 'nodes count as pushed values that may move',
    file: 'forest/compact/pushed-moves.ts',
    find: '    if (ref.stored) ids.delete(ref.id);\n',
    replace: '',
    caughtBy: { file: pushed, test: 'is asked about alone if every value of the store is named' },
  },
  {
    name: 'a value keeps its id although the program has renamed it',
    file: 'forest/compact/pushed-moves.ts',
    find: 'if (!this.#ask(tx, id, tx.push(value))) throw new Kept();',
    replace: 'if (this.#ask(tx, id, tx.push(value))) throw new Kept();',
    caughtBy: { file: pushed, test: 'has another id and the same bytes' },
  },
  {
    name: 'the program is asked on after a move has failed',
    file: 'forest/compact/pushed-moves.ts',
    find: 'if (group.hasFailed || !mayArchive(tx, id)) throw new Kept();',
    replace: 'if (!mayArchive(tx, id)) throw new Kept();',
    caughtBy: { file: pushed, test: 'ends the compaction if the program throws' },
  },
  {
    name: 'all long values of a leaf are moved in one step',
    file: 'forest/compact/tree-rewriter.ts',
    find: 'if (!isWork || !mayEnd || index === count || !this.#plan.isDue()) continue;',
    replace: 'if (!isWork || !mayEnd || index <= count || !this.#plan.isDue()) continue;',
    caughtBy: { file: walk, test: 'pauses between the long values of one leaf' },
  },
  {
    name: 'no map goes out of the way of others',
    file: 'store/compact/compaction.ts',
    find: 'if (!(yield* this.#makeRoom())) return;',
    replace: 'return;',
    caughtBy: { file: 'test/store/compact/out-of-the-way.test.ts', test: 'goes out of the way' },
  },
  {
    name: 'a compaction fails where a disk has no room for a map out of the way',
    file: 'store/compact/compaction.ts',
    find: '      if (this.#core.poisoned || error !== this.#refused) throw error;',
    replace: '      if (error !== undefined) throw error;',
    caughtBy: { file: 'test/store/compact/out-of-the-way.test.ts', test: 'without room on a disk' },
  },
];
