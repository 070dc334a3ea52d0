/**
 * Faults in the forest: transactions that leave something, nodes that are freed too early or never,
 * sharing, ranges, summaries, what vaults are told.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const transactions = 'test/forest/transactions.test.ts';
const trees = 'test/forest/trees.test.ts';
const vault = 'test/forest/vault.test.ts';
const model = 'test/forest/model.test.ts';
const journal = 'test/forest/journal.test.ts';

export const faultsOfForest: readonly SeededFault[] = [
  {
    name: 'nodes that are replaced are never archived',
    file: 'forest/group.ts',
    find: '      for (const ref of one.gone) if (ref.stored) this.#archiveNode(ref);',
    replace: '',
    caughtBy: { file: trees, test: 'gives its space back by itself' },
  },
  {
    name: 'roots whose changes were written are never archived',
    file: 'forest/group.ts',
    find: '    for (const { id } of this.#replacedRoots()) this.#archive(id);',
    replace: '',
    caughtBy: { file: journal, test: 'wait beside a tree with a reducer' },
  },
  {
    name: 'roots that were made one are never archived',
    file: 'forest/group.ts',
    find: '      for (const { id } of this.#place.replaced) this.#archive(id);',
    replace: '',
    caughtBy: { file: journal, test: 'leaves few roots' },
  },
  {
    name: 'a root that is not short is taken for one of those that are made one',
    file: 'forest/journal.ts',
    find: '    if (isOne || !isShort || before + bytes',
    replace: '    if (isOne || before + bytes',
    caughtBy: { file: journal, test: 'tell all changes in their order' },
  },
  {
    name: 'what replaced nodes waits for is archived only for the last commit',
    file: 'forest/group.ts',
    find: '    for (const one of [journal, this]) {',
    replace: '    for (const one of [this]) {',
    caughtBy: { file: journal, test: 'are written back before they are more' },
  },
  {
    name: 'a tree that only earlier commits changed is not written',
    file: 'forest/group.ts',
    find: '    for (const name of journal.trees) records.set(name, record(name));',
    replace: '',
    caughtBy: { file: journal, test: 'wait beside a tree with a reducer' },
  },
  {
    name: 'nodes of a commit that failed stay named as stored',
    file: 'forest/group.ts',
    find: '    for (const ref of this.stored) ref.unstore();',
    replace: '',
    caughtBy: { file: 'test/forest/faults.test.ts' },
  },
  {
    name: 'a fork that comes to nothing leaves nodes of others in its group',
    file: 'forest/transaction-ground.ts',
    find: '    const ids = [...pushed, ...this.group.withdraw(stored, own)];',
    replace: '    const ids = [...pushed];',
    caughtBy: { file: journal, test: 'where a fork of their tree comes to nothing' },
  },
  {
    name: 'an opening does the newest changes first',
    file: 'forest/forest-core.ts',
    find: '    const changes = chain.flatMap(({ root }) => root.changes);',
    replace: '    const changes = [...chain].reverse().flatMap(({ root }) => root.changes);',
    caughtBy: { file: journal, test: 'pushes one value, whatever nodes it changes' },
  },
  {
    name: 'an opening forgets what the changes done again replace',
    file: 'forest/replay.ts',
    find: '    for (const ref of edit.gone) if (ref.stored) this.gone.push(ref);',
    replace: '',
    caughtBy: { file: journal, test: 'pushes one value, whatever nodes it changes' },
  },
  {
    name: 'changes that cannot be done again are lost',
    file: 'forest/group.ts',
    find: 'changes = journal.kept } =',
    replace: 'changes = [] } =',
    caughtBy: { file: journal, test: 'are kept until they can be' },
  },
  {
    name: 'a shared node is archived by the first tree that changes it',
    file: 'forest/edit.ts',
    find: '    if (!ref.stored || !this.#unshare(ref.id)) {',
    replace: '    if (!ref.stored || this.owner > 0) {',
    caughtBy: { file: trees, test: 'shares nodes until they change' },
  },
  {
    name: 'what is below a shared node does not gain the copy as a referent',
    file: 'forest/edit.ts',
    find: '    if (!copy.leaf) for (const child of copy.refs) this.shares.add(child.id);',
    replace: '    if (!copy.leaf) return;',
    caughtBy: { file: trees, test: 'shares nodes until they change' },
  },
  {
    name: 'a long value of a shared leaf does not gain the copy as a referent',
    file: 'forest/edit.ts',
    find: '      for (const bytes of longsOf(copy)) this.shareLong(bytes);',
    replace: '',
    caughtBy: { file: trees, test: 'do not hold long values' },
  },
  {
    name: 'a node that another edit owns is changed in place',
    file: 'forest/tree-editor.ts',
    find: '    if (node.owner === owner) return ref;',
    replace: '    if (node.owner === owner || node.leaf) return ref;',
    caughtBy: { file: transactions, test: 'leaves nothing where its body throws' },
  },
  {
    name: 'an iterator in a transaction does not keep its state',
    file: 'forest/edit.ts',
    find: '    if (this.#readers > 0) this.#freeze();',
    replace: '',
    caughtBy: { file: transactions, test: 'sees in an iterator the state of its making' },
  },
  {
    name: 'memory of a node is used again while an older state is read',
    file: 'forest/node-store.ts',
    find: '    if (this.holds > 0 || node === undefined) return;',
    replace: '    if (node === undefined) return;',
    caughtBy: { file: trees, test: 'goes on with the state of its making' },
  },
  {
    name: 'what a transaction under way has pushed is not noted in the root',
    file: 'forest/group-commits.ts',
    find: '    const pending = [...(this.#runner.running?.edit.pushed ?? [])];',
    replace: '    const pending = [...(this.#runner.running?.edit.pushed ?? []).slice(0, 0)];',
    caughtBy: { file: 'test/forest/crash-every-cut.test.ts' },
  },
  {
    name: 'values that a failed transaction pushed into a commit stay',
    file: 'forest/transaction-ground.ts',
    find: 'this.state.leave(id);',
    replace: 'void id;',
    caughtBy: { file: transactions, test: 'gives back what it had pushed, where it fails' },
  },
  {
    name: 'after a failed commit transactions go on from its state',
    file: 'forest/working-state.ts',
    find: lines('  reset(): void {', '    this.#changed.clear();'),
    replace: '  reset(): void {',
    caughtBy: { file: transactions, test: 'fail together where their commit does' },
  },
  {
    name: 'deleting a range visits every leaf in it',
    file: 'forest/edit.ts',
    find: '    if (level === 0 && !long) return;',
    replace: '',
    caughtBy: { file: trees, test: 'reads no leaves within it' },
  },
  {
    name: 'a split loses the count of what it moves',
    file: 'forest/tree-editor.ts',
    find: '      parent.refresh(at);',
    replace: '',
    caughtBy: { file: model, test: 'answers as plain maps do' },
  },
  {
    name: 'a branch keeps the summary of a child that has changed',
    file: 'forest/tree-editor.ts',
    find: '      branch.forgetPart(at);',
    replace: '',
    caughtBy: { file: model, test: 'answers as plain maps do' },
  },
  {
    name: 'two nodes are sealed under one context',
    file: 'forest/node-store.ts',
    find: '    ref.seal = this.takeSeal();',
    replace: '    ref.seal = 1;',
    caughtBy: { file: vault, test: 'never seals two values alike' },
  },
  {
    name: 'the context is not authenticated',
    file: 'vault/aes-gcm.ts',
    find: '      decipher.setAAD(context);',
    replace: '',
    caughtBy: { file: vault, test: 'gives back what was put' },
  },
  {
    name: 'an opening tells the vault numbers again',
    file: 'forest/forest-core.ts',
    find: '    this.nodes.nextSeal = nextSeal + sealsSkipped;',
    replace: '',
    caughtBy: { file: vault, test: 'never seals two values alike' },
  },
  {
    name: 'a snapshot holds no guard',
    file: 'forest/forest-version.ts',
    find: '    if (this.#holds === 0) this.#guard = guardOf(store, this.batch);',
    replace: '',
    caughtBy: { file: trees, test: 'stays as it was, and is refused once released' },
  },
];
