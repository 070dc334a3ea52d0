/**
 * Faults in the forest: transactions that leave something, nodes that are freed too early or never,
 * sharing, ranges, summaries; values that are not sealed or not held against their id, forests that
 * open with another vault, a root that others archive.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const transactions = 'test/forest/transactions.test.ts';
const trees = 'test/forest/trees.test.ts';
const vault = 'test/forest/vault.test.ts';
const pushed = 'test/forest/pushed-values.test.ts';
const model = 'test/forest/model.test.ts';
const journal = 'test/forest/journal/journal.test.ts';
const replayed = 'test/forest/journal/replayed-journal.test.ts';

export const faultsOfForest: readonly SeededFault[] = [
  {
    name: 'nodes that are replaced are never archived',
    file: 'forest/commits/commit-preparation.ts',
    find: '        if (ref.stored) this.#archiveNode(ref);',
    replace: '',
    caughtBy: { file: trees, test: 'gives its space back by itself' },
  },
  {
    name: 'roots whose changes were written are never archived',
    file: 'forest/commits/commit-preparation.ts',
    find: '    for (const id of journal.replacedRoots) group.archive(id);',
    replace: '',
    caughtBy: { file: journal, test: 'stay logged beside a tree with a reducer' },
  },
  {
    name: 'nodes replaced by logged commits are not archived, only those of the last commit',
    file: 'forest/commits/commit-preparation.ts',
    find: '[...journal.garbage, group.garbage, this.#ofCatalog]',
    replace: '[group.garbage, this.#ofCatalog]',
    caughtBy: { file: journal, test: 'stay logged beside a tree with a reducer' },
  },
  {
    name: 'a tree that only earlier commits changed is not written',
    file: 'forest/commits/commit-preparation.ts',
    find: 'new Map(this.#durable.frozenTrees(journal.trees).records)',
    replace: 'new Map(this.#durable.frozenTrees(new Set()).records)',
    caughtBy: { file: journal, test: 'stay logged beside a tree with a reducer' },
  },
  {
    name: 'nodes of a commit that failed stay named as stored',
    file: 'forest/commits/group.ts',
    find: '    for (const ref of this.stored) ref.unstore();',
    replace: '',
    caughtBy: {
      file: 'test/forest/crash/faults.test.ts',
      test: 'of a history fails once small changes, told in roots, of several trees',
    },
  },
  {
    name: 'a fork that fails leaves nodes of other trees in its group',
    file: 'forest/commits/working-state.ts',
    find: '    const ids = [...pushed, ...this.#group.withdraw(stored, own)];',
    replace: '    const ids = [...pushed];',
    caughtBy: { file: journal, test: 'if a fork of their tree that joins them fails' },
  },
  {
    name: 'an opening replays the newest changes first',
    file: 'forest/commits/stored-state.ts',
    find: '    const changes = chain.flatMap(({ root }) => root.changes);',
    replace: '    const changes = [...chain].reverse().flatMap(({ root }) => root.changes);',
    caughtBy: { file: journal, test: 'pushes one value, whatever nodes it changes' },
  },
  {
    name: 'an opening forgets the nodes that replayed changes replace',
    file: 'forest/commits/replay.ts',
    find: '    this.garbage.addStored(garbage);',
    replace: '',
    caughtBy: { file: journal, test: 'pushes one value, whatever nodes it changes' },
  },
  {
    name: 'changes that cannot be replayed are lost',
    file: 'forest/journal/journal.ts',
    find: 'earlier: undefined, listed: 0, changes: kept }',
    replace: 'earlier: undefined, listed: 0, changes: [] }',
    caughtBy: { file: replayed, test: 'are kept until they can be' },
  },
  {
    name: 'a shared node is archived by the first tree that changes it',
    file: 'forest/trees/edit.ts',
    find: '    if (!ref.stored || !this.#unshare(ref.id)) {',
    replace: '    if (!ref.stored || this.owner > 0) {',
    caughtBy: { file: trees, test: 'shares nodes until they change' },
  },
  {
    name: 'a child of a shared node does not gain the copy as a referent',
    file: 'forest/trees/edit.ts',
    find: '    if (!copy.leaf) for (const child of copy.refs) this.shares.add(child.id);',
    replace: '    if (!copy.leaf) return;',
    caughtBy: { file: trees, test: 'shares nodes until they change' },
  },
  {
    name: 'a long value of a shared leaf does not gain the copy as a referent',
    file: 'forest/trees/edit.ts',
    find: '      for (const bytes of longsOf(copy)) this.shareLong(bytes);',
    replace: '',
    caughtBy: { file: trees, test: 'do not hold long values' },
  },
  {
    name: 'a node that another edit owns is changed in place',
    file: 'forest/trees/tree-editor.ts',
    find: '    if (node.owner === owner) return ref;',
    replace: '    if (node.owner === owner || node.leaf) return ref;',
    caughtBy: { file: transactions, test: 'leaves nothing if its body throws' },
  },
  {
    name: 'an iterator in a transaction does not keep its state',
    file: 'forest/trees/edit.ts',
    find: '    if (this.#readers > 0) this.#freeze();',
    replace: '',
    caughtBy: { file: transactions, test: 'sees in an iterator the state at its creation' },
  },
  {
    name: 'memory of a node is used again while an older state is read',
    file: 'forest/nodes/node-store.ts',
    find: '    if (this.#holds > 0 || node === undefined) return;',
    replace: '    if (node === undefined) return;',
    caughtBy: { file: trees, test: 'keeps the state at its creation' },
  },
  {
    name: 'values pushed by an open transaction are not listed in the root',
    file: 'forest/commits/group-commits.ts',
    find: 'running === undefined ? none : running.edit.pushed.slice();',
    replace: 'running === undefined ? none : running.edit.pushed.slice(0, 0);',
    caughtBy: { file: 'test/forest/crash/every-cut.test.ts' },
  },
  {
    name: 'values that a failed transaction pushed into a commit stay',
    file: 'forest/commits/working-state.ts',
    find: 'this.#leftOver.push(id);',
    replace: 'void id;',
    caughtBy: { file: transactions, test: 'frees its pushed values if it fails' },
  },
  {
    name: 'transactions continue from the state of a failed commit',
    file: 'forest/commits/working-state.ts',
    find: '    const next = this.takeGroup();',
    replace: lines(
      '    const next = this.takeGroup();',
      '    const changed = this.#inFlight?.changed ?? [];',
      '    for (const [name, record] of changed) this.#group.changed.set(name, record);',
    ),
    caughtBy: { file: transactions, test: 'fail together if their commit does' },
  },
  {
    name: 'deleting a range visits every leaf in it',
    file: 'forest/trees/edit.ts',
    find: '    if (level === 0 && !long) return;',
    replace: '',
    caughtBy: { file: trees, test: 'reads no leaves within it' },
  },
  {
    name: 'a split loses the count of what it moves',
    file: 'forest/trees/tree-editor.ts',
    find: '      parent.refresh(at);',
    replace: '',
    caughtBy: { file: model, test: 'answers as plain maps do' },
  },
  {
    name: 'a branch keeps the summary of a child that has changed',
    file: 'forest/trees/tree-editor.ts',
    find: '      branch.forgetPart(at);',
    replace: '',
    caughtBy: { file: model, test: 'answers as plain maps do' },
  },
  {
    name: 'two nodes are sealed under one context',
    file: 'forest/nodes/node-store.ts',
    find: '    ref.seal = this.takeSeal();',
    replace: '    ref.seal = 1;',
    caughtBy: { file: vault, test: 'never seals two values equally' },
  },
  {
    name: 'the context is not authenticated',
    file: 'vault/aes-gcm.ts',
    find: '      decipher.setAAD(context);',
    replace: '',
    caughtBy: { file: vault, test: 'returns the values that were put' },
  },
  {
    name: 'an opening gives the vault numbers that were already used',
    file: 'forest/commits/durable-state.ts',
    find: '    nodes.sealFrom(nextSeal + skipped(vault));',
    replace: '',
    caughtBy: { file: vault, test: 'never seals two values equally' },
  },
  {
    name: 'a snapshot holds no guard',
    file: 'forest/commits/forest-version.ts',
    find: '    if (this.#holds === 0) this.#guard = guardOf(this.#context.store, this.batch);',
    replace: '',
    caughtBy: { file: trees, test: 'stays as it was, and is refused once released' },
  },
  {
    name: "an encoding of a user's codec is not copied",
    file: 'codecs/codec.ts',
    find: 'return this.#gives === undefined ? encodings.copy(bytes, 0, bytes.length) : bytes;',
    replace: 'return bytes;',
    caughtBy: { file: 'test/forest/codec-memory.test.ts', test: 'stores the values that were put' },
  },
  {
    name: 'a reduction holds no state while the user commits in it',
    file: 'forest/reads/tree-reads.ts',
    find: '    const hold = this.#point.holdBriefly();',
    replace: '    const hold = { release: (): void => undefined };',
    caughtBy: {
      file: 'test/forest/reads/reads-while-committing.test.ts',
      test: 'reduce of a range',
    },
  },
  {
    name: 'a change within a read of its transaction changes what is read',
    file: 'forest/trees/edit.ts',
    find: '    if (this.#readers > 0) this.#freeze();',
    replace: '',
    caughtBy: { file: 'test/forest/reads/reads-while-committing.test.ts', test: 'though the user' },
  },
  {
    name: 'a tree that is dropped leaves no sequence number',
    file: 'forest/transactions/open-tree.ts',
    find: 'return this.record ?? droppedRecord(this.#sequence);',
    replace: 'return this.record;',
    caughtBy: { file: 'test/forest/sequences.test.ts', test: 'continues above its numbers' },
  },
  {
    name: 'changes that were trimmed are skipped',
    file: 'forest/reads/changes.ts',
    find: '  if (after !== 0 && after < oldest - 1) {',
    replace: '  if (after < 0) {',
    caughtBy: { file: 'test/forest/sequences.test.ts', test: 'that were trimmed' },
  },
  {
    name: 'a value that a transaction pushes is not sealed',
    file: 'forest/trees/edit.ts',
    find: 'pushValue(this.nodes, this.#start.session(), data)',
    replace: 'this.#start.session().push(data)',
    caughtBy: { file: pushed, test: 'is nowhere in the file as plain text' },
  },
  {
    name: 'a pushed value is not held against the id that it is asked for by',
    file: 'forest/nodes/pushed-head.ts',
    find: '  if (!isOf) throw notPushed(id);',
    replace: '',
    caughtBy: { file: pushed, test: 'is refused in the place of another' },
  },
  {
    name: 'the tags of pushed values are sealed under one number',
    file: 'forest/nodes/pushed-head.ts',
    find: 'const tagNumber = nodes.takeSeal();',
    replace: 'const tagNumber = 1;',
    caughtBy: { file: vault, test: 'never seals two values equally' },
  },
  {
    name: 'a forest opens with another vault than its own',
    file: 'forest/commits/stored-state.ts',
    find: "    checkVault(found.vault, this.#nodes.vault?.name ?? '');",
    replace: '',
    caughtBy: { file: vault, test: 'only if it is the same' },
  },
  {
    name: 'a forest whose vault was refused keeps its claim on the store',
    file: 'forest/forest.ts',
    find: '      disclaim();\n      throw error;',
    replace: '      throw error;',
    caughtBy: { file: vault, test: 'leaves a store of the caller open and free' },
  },
  {
    name: "anyone may archive the forest's root",
    file: 'store/session.ts',
    find: '    this.#home.header.checkArchive(id, this.#work);',
    replace: '',
    caughtBy: { file: 'test/forest/errors.test.ts', test: 'keeps its root' },
  },
  {
    name: 'a value whose making fails leaves its grains reserved',
    file: 'store/session.ts',
    find: '      stratum.release(index, count);\n      throw error;',
    replace: '      throw error;',
    caughtBy: { file: 'test/store/commit/push-with.test.ts', test: 'leaves nothing reserved' },
  },
];
