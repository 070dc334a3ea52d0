/**
 * Faults in salvages: which of two states of a thing is the newer, what a record says, what is looked
 * for without marks, and what is done about what is lost. Then those of forests.
 */

import type { SeededFault } from './seeded-fault.ts';

const undamaged = 'test/store/salvage/undamaged.test.ts';
const damaged = 'test/store/salvage/damaged.test.ts';
const whileCompacting = 'test/store/salvage/while-compacting.test.ts';
const contract = 'test/store/salvage/salvage-contract.test.ts';
const forest = 'test/forest/salvage/salvage-forest.test.ts';
const oneValue = {
  file: forest,
  test: 'a closed forest without one value of its store has what is left, and reports the keys that are lost',
};

export const faultsOfSalvage: readonly SeededFault[] = [
  {
    name: 'a salvage takes the older of two states of a mark page',
    file: 'store/salvage/found-structures.ts',
    find: '    const isOlder = other !== undefined && other.stamp > stamp;',
    replace: '    const isOlder = other !== undefined && other.stamp < stamp;',
    caughtBy: {
      file: undamaged,
      test: 'a long log are salvaged from a closed store, seed 1',
    },
  },
  {
    name: 'a salvage leaves out the first record after the stamp of a mark page',
    file: 'store/salvage/working-page.ts',
    find: 'segment.isKnown ? segment.stamp + 1 : this.#completeFrom',
    replace: 'segment.isKnown ? segment.stamp + 2 : this.#completeFrom',
    caughtBy: {
      file: undamaged,
      test: 'values of many lengths, settled often are salvaged from a killed store, seed 1',
    },
  },
  {
    name: 'a salvage keeps a last batch of which a value is missing',
    file: 'store/salvage/remains.ts',
    find: '    if (crc !== one.crc) return false;',
    replace: '',
    caughtBy: {
      file: damaged,
      test: 'a last batch that was never acknowledged is taken back if one of its values is not there',
    },
  },
  {
    name: 'a salvage takes the life of the file of which least is left',
    file: 'store/salvage/file-scan.ts',
    find: 'if (chosen === undefined || weightOf(life) > weightOf(chosen)) chosen = life;',
    replace: 'if (chosen === undefined || weightOf(life) < weightOf(chosen)) chosen = life;',
    caughtBy: {
      file: damaged,
      test: 'two lives of one file are kept apart by the salt, with and without a header',
    },
  },
  {
    name: 'a salvage does not look for values where no marks are left',
    file: 'store/salvage/value-check.ts',
    find: '    if (page.hasUnlisted) await this.#look(stratum, page);',
    replace: '',
    caughtBy: {
      file: damaged,
      test: "of a 'closed' store: 'many lengths' all mark pages and heads are gone: values are found by their checksums",
    },
  },
  {
    name: 'a part of a map that was cut has no marks before its own are written',
    file: 'store/salvage/page-group.ts',
    find: '    for (const life of lives.within(page.firstIndex, page.firstIndex + page.grains)) {',
    replace:
      '    for (const life of lives.within(page.firstIndex, page.firstIndex + page.grains)) {\n      if (life !== own) continue;',
    caughtBy: { file: whileCompacting, test: 'at any call, is salvaged to its live values' },
  },
  {
    name: 'a salvage gives ids of lost values to others',
    file: 'store/moves/map-cuts.ts',
    find: '    if (this.#open !== undefined && this.#isFine && this.#takeCut()) this.#close();',
    replace: '',
    caughtBy: {
      file: damaged,
      test: "of a 'closed' store: 'many lengths' values are hit: they alone are lost, and reported",
    },
  },
  {
    name: 'a salvage reports nothing of what the disk refuses to read',
    file: 'store/salvage/damaged-file.ts',
    find: '        this.#refused.add(from - within);',
    replace: '',
    caughtBy: {
      file: contract,
      test: 'pages that the disk refuses are reported, and only what is in them is lost',
    },
  },
  {
    name: 'a salvage keeps an embedded header whose value is lost',
    file: 'store/salvage/salvage.ts',
    find: '    if (!hasHeader) state.embeddedHeader = 0n;',
    replace: '',
    caughtBy: {
      file: damaged,
      test: 'an embedded header whose value is lost is none in the copy',
    },
  },
  {
    name: 'a salvaged forest keeps entries whose long value is lost',
    file: 'forest/salvage/tree-repair.ts',
    find: '      if (!nodes.source.has(id)) gone.push(at);',
    replace: '',
    caughtBy: oneValue,
  },
  {
    name: 'a salvaged forest does not count the referents of shared nodes again',
    file: 'forest/salvage/forest-repair.ts',
    find: 'for (let n = 1; n < count; n++) shares.add(one);',
    replace: 'for (let n = 2; n < count; n++) shares.add(one);',
    caughtBy: oneValue,
  },
  {
    name: 'the second tree of a shared node that is lost does not report its keys',
    file: 'forest/salvage/tree-repair.ts',
    find: '    if (known !== undefined) this.lost.push(...known.lost);',
    replace: '',
    caughtBy: oneValue,
  },
  {
    name: 'leaves whose branch is lost are not put back',
    file: 'forest/salvage/forest-repair.ts',
    find: '      return leaves.get(hole.id) ?? [];',
    replace: '      return leaves.size < 0 ? (leaves.get(hole.id) ?? []) : [];',
    caughtBy: {
      file: forest,
      test: 'a branch that is lost has its leaves again, since they can belong to no other tree',
    },
  },
];
