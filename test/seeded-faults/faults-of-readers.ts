/**
 * Faults in what a reader does beside a writer: reads that nothing proves, blocks and pages of
 * another time. That the end of the log needs a
 * header read after it is shown by the model (test/model/reader.test.ts): the moments in which a
 * segment that is used again is blank are too rare for a test of the store.
 */

import type { SeededFault } from './seeded-fault.ts';

const turns = 'test/store/readers/turns-of-readers.test.ts';
const rules = 'test/readers/beside-a-writer.test.ts';

export const faultsOfReaders: readonly SeededFault[] = [
  {
    name: 'a reader does not follow the log after it has read a value',
    file: 'store/readers/proven-reads.ts',
    find: 'damage === undefined && this.#isFollowed ? true : this.#follow()',
    replace: 'true',
    caughtBy: {
      file: rules,
      test: 'a value that was freed since is VARVE_SNAPSHOT_GONE, whatever has its grains',
    },
  },
  {
    name: 'a refreshed reader keeps blocks of what was freed or allocated in between',
    file: 'store/readers/store-reader.ts',
    find: '      values.forget(map.grainOffset(index), bytes);',
    replace: '      values.forget(map.grainOffset(index) + bytes, 1);',
    caughtBy: {
      file: rules,
      test: 'a refresh keeps the cache, except values allocated or freed in between',
    },
  },
  {
    name: 'a mark page that is older than what the reader opened with counts as a newer one',
    file: 'store/file/twins.ts',
    find: '({ stamp }) => stamp > newerThan',
    replace: '() => true',
    caughtBy: {
      file: rules,
      test: 'a page of an earlier map in the same place is not taken for a newer one',
    },
  },
  {
    name: 'a gap that a commit beside the scan leaves is damage',
    file: 'store/open/reader-loading.ts',
    find: 'gap === undefined || (tries > 1 && last >= seen)',
    replace: 'gap === undefined',
    caughtBy: {
      file: rules,
      test: 'an opening succeeds beside a writer that commits all the time',
    },
  },
  {
    name: 'a value that was freed and allocated again counts as never freed',
    file: 'store/log/differences.ts',
    find: 'changes?.find((change) => change.batch > batch)',
    replace: 'changes?.filter((change) => change.batch > batch).at(-1)',
    caughtBy: {
      file: rules,
      test: 'a value that was freed since is VARVE_SNAPSHOT_GONE, whatever has its grains',
    },
  },
  {
    name: 'a state that was opened before is not closed with its store',
    file: 'store/readers/proven-reads.ts',
    find: '    if (this.#tail.closed) throw this.core.closedError();',
    replace: '',
    caughtBy: {
      file: rules,
      test: 'a view keeps its batch over refreshes, until the store is closed',
    },
  },
  {
    name: 'two readers follow the log past each other',
    file: 'store/log/log-tail.ts',
    find: '    this.#pass ??= { number: ++this.#passes, steps: this.#follow() };',
    replace: '    this.#pass = { number: ++this.#passes, steps: this.#follow() };',
    caughtBy: {
      file: turns,
      test: 'knows each change once, wherever another read follows the log at the same time',
    },
  },
  {
    name: 'a value stays marked as checked if the proof of its read failed',
    file: 'store/readers/proven-reads.ts',
    find: "        if (verdict !== 'holds' && spot !== undefined) this.#uncheck(parts, spot);",
    replace: `        if (verdict !== undefined && verdict !== 'holds' && spot !== undefined) {
          this.#uncheck(parts, spot);
        }`,
    caughtBy: {
      file: 'test/store/readers/failed-proofs.test.ts',
      test: 'a value under a used id is not returned after the proof of its first read has failed',
    },
  },
  {
    name: 'forgetting changes continues after a new start with a lower floor',
    file: 'store/log/differences.ts',
    find: '      if (this.#floor < batch) return;',
    replace: '',
    caughtBy: {
      file: 'test/store/log/differences.test.ts',
      test: 'forgetting does not drop changes of a batch that came after a new start',
    },
  },
  {
    name: 'a refresh ends at a state of which a batch was taken back',
    file: 'store/readers/store-reader.ts',
    find: '      if (!after.isLost || tries === statesMax) return after;',
    replace: '      return after;',
    caughtBy: {
      file: 'test/store/readers/taken-back.test.ts',
      test: 'a refresh that followed a batch which was taken back ends at a readable state',
    },
  },
];
