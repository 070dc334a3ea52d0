/**
 * Faults in what a reader does beside a writer: reads that nothing proves, a log that is lost sight
 * of, blocks and pages of another time.
 */

import type { SeededFault } from './seeded-fault.ts';

const rules = 'test/readers/beside-a-writer.test.ts';

export const faultsOfReaders: readonly SeededFault[] = [
  {
    name: 'a reader does not follow the log after it has read a value',
    file: 'store/proven-reads.ts',
    find: 'damage === undefined && this.#isFollowed ? true : this.#follow()',
    replace: 'this.#follow() || damage === undefined || this.#isFollowed || true',
    caughtBy: {
      file: rules,
      test: 'a value that was freed since is gone, whatever has its grains',
    },
  },
  {
    name: 'a reader takes a used-again segment for a log without news',
    file: 'store/log-tail.ts',
    find: '        if (header.confirmed < this.#cursor.next) {',
    replace: '        if (header.confirmed < Number.POSITIVE_INFINITY) {',
    caughtBy: {
      file: rules,
      test: 'a reader that slept while the log was used again gives nothing that is not of its batch',
    },
  },
  {
    name: 'a refreshed reader keeps blocks of what was freed or allocated in between',
    file: 'store/store-reader.ts',
    find: '      cache.forget(map.grainOffset(index), bytes);',
    replace: '      cache.forget(map.grainOffset(index) + bytes, 1);',
    caughtBy: {
      file: rules,
      test: 'a refresh keeps the cache, but for what was allocated or freed in between',
    },
  },
  {
    name: 'a mark page that is older than what the reader opened with counts as a newer one',
    file: 'store/map-loader.ts',
    find: '      if (found.seal.stamp <= newerThan) continue;',
    replace: '',
    caughtBy: {
      file: rules,
      test: 'a page of a map that lay there before is not taken for a newer one',
    },
  },
  {
    name: 'a gap that a commit beside the scan leaves is damage',
    file: 'store/reader-loading.ts',
    find: 'gap === undefined || (tries > 1 && last >= seen)',
    replace: 'gap === undefined',
    caughtBy: { file: rules, test: 'an opening is never refused because the writer commits' },
  },
  {
    name: 'a value that was freed and allocated again counts as never freed',
    file: 'store/differences.ts',
    find: 'changes?.find((change) => change.batch > batch)',
    replace: 'changes?.filter((change) => change.batch > batch).at(-1)',
    caughtBy: {
      file: rules,
      test: 'a value that was freed since is gone, whatever has its grains',
    },
  },
  {
    name: 'a state that was opened before is not closed with its store',
    file: 'store/proven-reads.ts',
    find: '    if (this.#tail.closed) throw this.core.closedError();',
    replace: '',
    caughtBy: {
      file: rules,
      test: 'a view keeps its batch over refreshes, until the store is closed',
    },
  },
];
