/**
 * Faults in making a batch durable: what is written and synced in which order, what happens when
 * the disk refuses, what a record says, what a checkpoint frees.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

export const faultsOfCommits: readonly SeededFault[] = [
  // ── the order of a commit ──
  {
    name: 'the sync of a commit is left out',
    file: 'store/commit/durable-writer.ts',
    find: lines('    const target = yield* this.#log(plan);', '    yield* this.sync();'),
    replace: lines(
      '    const target = yield* this.#log(plan);',
      '    this.#core.housekeeping.synced();',
    ),
    caughtBy: { file: 'test/crash/every-cut.test.ts', test: 'archive, checkpoint, reuse' },
  },
  {
    name: 'a batch is published before its sync',
    file: 'store/commit/durable-writer.ts',
    find: lines(
      '    const target = yield* this.#log(plan);',
      '    yield* this.sync();',
      '    yield* this.#publish(plan, target);',
    ),
    replace: lines(
      '    const target = yield* this.#log(plan);',
      '    yield* this.#publish(plan, target);',
      '    yield* this.sync();',
    ),
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'a failed sync does not publish a batch with a new map either',
    },
  },
  {
    name: 'sessions that share a batch resolve before its sync',
    file: 'store/commit/committer.ts',
    find: '    yield* this.#writer.commit({ ...batch, moves: batch.moves ?? [], carries });',
    replace: lines(
      '    for (const one of left) {',
      '      one.batch = core.published.currentBatch + 1;',
      '      one.durable();',
      '    }',
      '    left.clear();',
      '    yield* this.#writer.commit({ ...batch, moves: batch.moves ?? [], carries });',
    ),
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'rejects that commit alone with VARVE_IO and the cause',
    },
  },
  {
    name: 'a session that commits while a batch is being synced resolves to that batch',
    file: 'store/commit/committer.ts',
    find: '      this.#queue.add(new Waiting(work, resolve, reject));',
    replace: lines(
      '      this.#queue.add(new Waiting(work, resolve, reject));',
      '      if (this.#core.committing) resolve(this.#core.published.currentBatch + 1);',
    ),
    caughtBy: {
      file: 'test/regression/simulated.test.ts',
      test: 'seeded-opening-does-not-rewrite.json',
    },
  },
  {
    name: 'the record of a batch is written before its values',
    file: 'store/commit/committer.ts',
    find: lines(
      '    if (!carries) yield* this.#writeValues(left);',
      '    for (let tries = this.#core.space.tight ? 1 : 2; tries > 0; tries--) {',
      '      try {',
      '        return yield* this.#logTogether(left, { carries, own });',
    ),
    replace: lines(
      '    for (let tries = this.#core.space.tight ? 1 : 2; tries > 0; tries--) {',
      '      try {',
      '        yield* this.#logTogether(left, { carries, own });',
      '        return yield* this.#writeValues(left);',
    ),
    caughtBy: {
      file: 'test/contract/documents/error-table.test.ts',
      test: 'the table of errors in the README says what still works after VARVE_IO',
    },
  },
  // ── the disk refuses ──
  {
    name: 'a failed sync does not poison the store',
    file: 'store/commit/durable-writer.ts',
    find: lines(
      '      yield* this.#core.writer.sync();',
      '    } catch (error) {',
      '      throw this.#core.poison(error);',
    ),
    replace: lines(
      '      yield* this.#core.writer.sync();',
      '    } catch (error) {',
      '      throw error;',
    ),
    caughtBy: {
      file: 'test/regression/simulated.test.ts',
      test: 'seeded-failed-sync-goes-on.json',
    },
  },
  {
    name: 'a poisoned store still accepts commits',
    file: 'store/state/core.ts',
    find: '    if (this.#poison !== undefined) throw this.#poison;',
    replace: '',
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'a failed sync stops the writing of large data',
    },
  },
  {
    name: 'a poisoned store is settled on close',
    file: 'store/store-writes.ts',
    find: '!core.readOnly && !core.poisoned',
    replace: '!core.readOnly',
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'a failed sync stops the writing of large data',
    },
  },
  {
    name: 'the writing of a large value continues after a failed sync',
    file: 'store/commit/value-writer.ts',
    find: lines('    core.checkSound();', '    try {'),
    replace: '    try {',
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'a failed sync stops the writing of large data',
    },
  },
  {
    name: 'a record whose write failed is not blanked',
    file: 'store/commit/durable-writer.ts',
    find: '      yield* this.#blank(sector, error);',
    replace: '',
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'can be neither written nor taken back',
    },
  },
  {
    name: 'the blank over a record whose write failed is not synced',
    file: 'store/commit/durable-writer.ts',
    find: lines(
      '      throw this.#core.poison(new AggregateError([cause, error], message));',
      '    }',
      '    yield* this.sync();',
    ),
    replace: lines(
      '      throw this.#core.poison(new AggregateError([cause, error], message));',
      '    }',
    ),
    caughtBy: {
      file: 'test/crash/io-errors.test.ts',
      test: 'a write fails, and so does what is written next but zeros',
    },
  },
  {
    name: 'the store is not poisoned if a record can be neither written nor blanked',
    file: 'store/commit/durable-writer.ts',
    find: '      throw this.#core.poison(new AggregateError([cause, error], message));',
    replace: '      throw new AggregateError([cause, error], message);',
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'can be neither written nor taken back',
    },
  },
  {
    name: 'a session whose values the disk refused is committed with the others',
    file: 'store/commit/committer.ts',
    find: '      if (error !== undefined) yield* this.#reject(left, one, error);',
    replace: '      void error;',
    caughtBy: {
      file: 'test/contract/documents/error-table.test.ts',
      test: 'the table of errors in the README says what still works after VARVE_IO',
    },
  },
  {
    name: 'a batch that failed keeps the place of its record’s body',
    file: 'store/commit/publish.ts',
    find: '  if (extent !== undefined) core.space.free(extent.page, extent.pages);',
    replace: '',
    caughtBy: {
      file: 'test/crash/io-errors.test.ts',
      test: 'a write fails, once records with a body of their own',
    },
  },
  {
    name: 'a settled structure whose write failed is not written again',
    file: 'store/settle/housekeeping.ts',
    find: ' this.#failed.push(write);',
    replace: ' void write;',
    caughtBy: {
      file: 'test/crash/housekeeping-failures.test.ts',
      test: 'a mark page cannot be written for a while: the next commit rejects, and later ones are accepted',
    },
  },
  // ── what a record says ──
  {
    name: 'the embedded header of a batch is not in its record',
    file: 'store/commit/commit-plan.ts',
    find: '  const { currentBatch: batch, checkpoint, embeddedHeader } = after;',
    replace: lines(
      '  const { currentBatch: batch, checkpoint } = after;',
      '  const embeddedHeader = 1n;',
    ),
    caughtBy: {
      file: 'test/store/commit/commit-plan.test.ts',
      test: 'a plan keeps an embedded header that no session replaces, and takes the last one that was set',
    },
  },
  {
    name: 'the checkpoint of a batch is not in its record',
    file: 'store/commit/commit-plan.ts',
    find: '  return { batch, committedAt, embeddedHeader, checkpoint, retainedLogBytes };',
    replace:
      '  return { batch, committedAt, embeddedHeader, checkpoint: 0 * checkpoint, retainedLogBytes };',
    caughtBy: {
      file: 'test/store/commit/small-checkpoint.test.ts',
      test: 'the checkpoint of a small commit is there after a kill, and what it freed is not',
    },
  },
  {
    name: 'a new grain map that a batch relies on is not in its record',
    file: 'store/commit/commit-plan.ts',
    find: '.filter((map) => !map.durable && map.firstIndex <= (lastIndex.get(stratum) ?? 0))',
    replace: '.filter((map) => !map.durable && map.firstIndex < (lastIndex.get(stratum) ?? 0))',
    caughtBy: {
      file: 'test/store/shrink.test.ts',
      test: 'a file whose values were freed is shorter after the close',
    },
  },
  {
    name: 'a value that its own session withdrew is committed',
    file: 'store/commit/session-work.ts',
    find: "operation.operation === 'archive' || !operation.withdrawn",
    replace: "operation.operation === 'archive' || operation.operation === 'allocate'",
    caughtBy: {
      file: 'test/store/commit/session-work.test.ts',
      test: 'a session knows its own values and no others, those pushed after the first question too',
    },
  },
  {
    name: 'two sessions can archive the same value',
    file: 'store/session.ts',
    find: 'found.archived || home.isClaimed(place.id.index)',
    replace: 'found.archived',
    caughtBy: {
      file: 'test/contract/session-end.test.ts',
      test: 'a session that is garbage-collected unended is abandoned',
    },
  },
  {
    name: 'a record that the disk refused is not tried again in another way',
    file: 'store/commit/committer.ts',
    find: '    return this.#writer.recordRefused && this.#core.space.tight',
    replace: '    return this.#core.closed && this.#writer.recordRefused',
    caughtBy: {
      file: 'test/crash/reopened-full-disk.test.ts',
      test: 'thousands of values a commit are deleted, and all are freed by one checkpoint',
    },
  },
  {
    name: 'a deletion is refused with the values beside it',
    file: 'store/commit/committer.ts',
    find: lines('      this.#takeApart(left);', '      return false;'),
    replace: '',
    caughtBy: {
      file: 'test/crash/full-disk-sessions.test.ts',
      test: 'a deletion is committed if the record of values beside it finds no room',
    },
  },
  // ── checkpoints ──
  {
    name: 'freed grains are given out before the sync of the batch that frees them',
    file: 'store/commit/durable-writer.ts',
    find: lines(
      '      throw failure;',
      '    }',
      '    yield* this.sync();',
      '    yield* this.#publish(plan, target);',
    ),
    replace: lines(
      '      throw failure;',
      '    }',
      '    const freed = new Map<SessionWork, Freed>();',
      '    for (const [work, { values, logBytes }] of plan.freed) {',
      '      for (const run of values) this.#core.atlas.stratum(run.basin, run.stratum)?.freeValue(run);',
      '      freed.set(work, { values: [], logBytes });',
      '    }',
      '    yield* this.sync();',
      '    yield* this.#publish({ ...plan, freed }, target);',
    ),
    caughtBy: {
      file: 'test/store/commit/own-maps.test.ts',
      test: 'a large value goes to places that lie apart before the file grows',
    },
  },
  {
    name: 'a checkpoint frees what the batch after it archived: one batch early',
    file: 'store/commit/checkpoint.ts',
    find: lines(
      '  for (let batch = checkpoint + 1; batch <= target; batch++) {',
      '    const archived = core.archives.get(batch);',
    ),
    replace: lines(
      '  const last = Math.min(target + 1, core.published.currentBatch);',
      '  for (let batch = checkpoint + 1; batch <= last; batch++) {',
      '    const archived = core.archives.get(batch);',
    ),
    caughtBy: {
      file: 'test/regression/simulated.test.ts',
      test: 'seeded-opening-does-not-rewrite.json',
    },
  },
  {
    name: 'a checkpoint frees again what the one before it freed',
    file: 'store/commit/checkpoint.ts',
    find: lines(
      '  let reached = checkpoint;',
      '  for (let batch = checkpoint + 1; batch <= target; batch++) {',
    ),
    replace: lines(
      '  let reached = checkpoint;',
      '  for (let batch = Math.max(1, checkpoint); batch <= target; batch++) {',
    ),
    caughtBy: {
      file: 'test/contract/checkpoint.test.ts',
      test: 'checkpointTo frees large numbers of values, of many sizes, and their space is used again',
    },
  },
  {
    name: 'a checkpoint goes past a guard',
    file: 'store/state/guards.ts',
    find: '    return Math.min(batch, this.oldest ?? batch);',
    replace: '    return batch;',
    caughtBy: {
      file: 'test/store/state/guards.test.ts',
      test: 'guards hold checkpoints back to the oldest one not released, however often others are',
    },
  },
  {
    name: 'the youngest of several guards holds checkpoints back',
    file: 'store/state/guards.ts',
    find: 'batch < oldest',
    replace: 'batch > oldest',
    caughtBy: {
      file: 'test/store/state/guards.test.ts',
      test: 'guards hold checkpoints back to the oldest one not released, however often others are',
    },
  },
  {
    name: 'a guard can hold a batch that a checkpoint in flight passes',
    file: 'store/readers/log-entries.ts',
    find: 'Math.max(core.published.checkpoint, core.checkpointUnderWay)',
    replace: 'core.published.checkpoint',
    caughtBy: {
      file: 'test/contract/checkpoint.test.ts',
      test: 'a guard throws VARVE_LOG_TRUNCATED for a batch before a checkpoint in flight',
    },
  },
  {
    name: 'the bytes of the log that a checkpoint forgets stay counted',
    file: 'store/log/commit-log.ts',
    find: '    this.#retainedBytes = this.retainedWithout(bytes);',
    replace: '',
    caughtBy: {
      file: 'test/store/shrink.test.ts',
      test: 'a file whose values were freed is shorter after the close',
    },
  },
  {
    name: 'a read that began during a publish misses values that are freed after it',
    file: 'store/commit/publish.ts',
    find: '      core.watches.freed(run);',
    replace: '      if (run === freed.values[0]) core.watches.freed(run);',
    caughtBy: {
      file: 'test/store/commit/turns-in-commits.test.ts',
      test: 'values are archived and freed beside pushes that take their grains again',
    },
  },
  {
    name: 'a verification continues while a batch is published in part',
    file: 'store/verify/verify.ts',
    find: '  } while (core.publishing);',
    replace: '  } while (false);',
    caughtBy: {
      file: 'test/store/commit/turns-in-commits.test.ts',
      test: 'a verification begun within a long commit finds nothing that is of two states',
    },
  },
];
