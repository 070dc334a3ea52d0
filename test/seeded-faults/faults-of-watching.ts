/**
 * Faults in what a store reports to those who watch it: when a message is sent, what is counted in it,
 * and what a subscriber can do to the store.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const messages = 'test/store/watch/messages.test.ts';
const subscribers = 'test/store/watch/subscribers.test.ts';
const sums = {
  file: 'test/store/watch/sums.test.ts',
  test: 'sums of the messages are the statistics, and the writes of the disk',
};

export const faultsOfWatching: readonly SeededFault[] = [
  {
    name: 'a batch is reported before it is published',
    file: 'store/commit/publish.ts',
    find: '    yield* applyBatch(core, plan, target);',
    replace: lines(
      '    if (watch.isWatched) yield* watch.published(plan, checkpoint);',
      '    yield* applyBatch(core, plan, target);',
    ),
    caughtBy: {
      file: messages,
      test: 'varve:commit is sent when the batch is published, and before its sessions resolve',
    },
  },
  {
    name: 'writes without blocking are missing in the messages',
    file: 'store/file/file-writer.ts',
    find: lines(
      '      if (this.#writesInFlight === 0) this.#inFlightEnd = 0;',
      '    }',
      '    if (since !== undefined) this.#meter?.wrote(bytes, since);',
    ),
    replace: lines('      if (this.#writesInFlight === 0) this.#inFlightEnd = 0;', '    }'),
    caughtBy: sums,
  },
  {
    name: 'values that a session has written ahead are missing in the messages',
    file: 'store/watch/store-watch.ts',
    find: "        if (operation !== 'allocate') continue;",
    replace: "        if (operation !== 'allocate' || length > 2 ** 16) continue;",
    caughtBy: sums,
  },
  {
    name: 'the wait of a batch is that of its last session',
    file: 'store/watch/store-watch.ts',
    find: '        since = Math.min(since, calledAt);',
    replace: '        since = calledAt;',
    caughtBy: {
      file: messages,
      test: 'varve:commit is one for a batch, with the wait of the session that has waited longest',
    },
  },
  {
    name: 'writes are measured although the last subscriber has left',
    file: 'store/watch/store-watch.ts',
    find: '      if (this.#counts !== undefined) this.#stopCounting();',
    replace: '',
    caughtBy: {
      file: subscribers,
      test: 'without subscribers commits and checkpoints read no clock',
    },
  },
  {
    name: 'a checkpoint that has not moved is reported',
    file: 'store/watch/store-watch.ts',
    find: 'after.checkpoint > checkpoint && ',
    replace: '',
    caughtBy: {
      file: messages,
      test: 'varve:checkpoint is sent only if the checkpoint moves, also if it frees nothing',
    },
  },
  {
    name: 'documents of a settle that were made again count twice',
    file: 'store/settle/settle.ts',
    find: '    this.#documentBytes.clear();',
    replace: '',
    caughtBy: {
      file: messages,
      test: 'varve:settle counts a page once, although its write was refused and made again',
    },
  },
  {
    name: 'a commit fails because its message could not be sent',
    file: 'store/watch/channels.ts',
    find: lines('    queueMicrotask(() => {', '      throw error;', '    });'),
    replace: '    throw error;',
    caughtBy: { file: subscribers, test: 'channels never make the sender fail' },
  },
];
