/**
 * Faults in what vaults bound: values that are not sealed or not held against their id, forests that
 * open with another vault, a root that others archive.
 */

import type { SeededFault } from './seeded-fault.ts';

const vault = 'test/forest/vault.test.ts';
const pushed = 'test/forest/pushed-values.test.ts';

export const faultsOfVaults: readonly SeededFault[] = [
  {
    name: 'a value that a transaction pushes is not sealed',
    file: 'forest/trees/edit.ts',
    find: 'pushValue(this.nodes, this.#start.session(), data)',
    replace: 'this.#start.session().push(data)',
    caughtBy: { file: pushed, test: 'is nowhere in the file as plain text' },
  },
  {
    name: 'a pushed value is not held against the id that it is asked for by',
    file: 'forest/nodes/pushed-value.ts',
    find: '  if (!isOf) throw notPushed(id);',
    replace: '',
    caughtBy: { file: pushed, test: 'is refused in the place of another' },
  },
  {
    name: 'the tags of pushed values are sealed under one number',
    file: 'forest/nodes/pushed-value.ts',
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
