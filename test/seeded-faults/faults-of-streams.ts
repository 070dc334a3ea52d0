/**
 * Faults in values that come in and go out in several turns: pushes in flight, sources, streams, and
 * what a session hands over.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

export const faultsOfStreams: readonly SeededFault[] = [
  {
    name: 'a session is committed while a push of it is in flight',
    file: 'store/session.ts',
    find: lines(
      '  #checkCommittable(): void {',
      '    if (!this.#work.isOpen) throw this.#ended();',
      '    if (this.#work.isPushing) throw pushing();',
    ),
    replace: lines(
      '  #checkCommittable(): void {',
      '    if (!this.#work.isOpen) throw this.#ended();',
    ),
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'a push in flight makes commit, commitSync and adopt VARVE_BUSY, with the session still open',
    },
  },
  {
    name: 'a session is adopted while a push of it is in flight',
    file: 'store/session.ts',
    find: '    if (work.isPushing) throw pushing();',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'a push in flight makes commit, commitSync and adopt VARVE_BUSY, with the session still open',
    },
  },
  {
    name: 'the grains of a push are given back while they are being written',
    file: 'store/streams/piece-writer.ts',
    find: '    await Promise.allSettled([this.#writing]);',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream gives grains back only when its write has returned',
    },
  },
  {
    name: 'the grains of a push that failed are not given back',
    file: 'store/streams/piece-writer.ts',
    find: '    if (this.#place !== undefined) this.#push.giveBack(this.#place);',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream leaves a file no longer than without it',
    },
  },
  {
    name: 'the map of values that were never committed stays in the file',
    file: 'store/commit/committer.ts',
    find: lines('    this.#core.atlas.dropUnused();', '    await'),
    replace: '    await',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream leaves a file no longer than without it',
    },
  },
  {
    name: 'a source that yields too little is accepted',
    file: 'store/streams/receiver.ts',
    find: '      if (received < length) throw wrongLength(length, received);',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream refuses a source that yields fewer bytes',
    },
  },
  {
    name: 'the source of a push that is ended is not cancelled',
    file: 'store/streams/receiver.ts',
    find: '      if (!this.#isOver) this.#source.cancel(error);',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream ends with the reason of its signal, and cancels the source',
    },
  },
  {
    name: 'a push waits for its source after its session has ended',
    file: 'store/streams/running-push.ts',
    find: '    this.#interrupt?.(error);',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream ends with the reason of its signal, and cancels the source',
    },
  },
  {
    name: 'a value is withdrawn from grains that are being written',
    file: 'store/values/staged-values.ts',
    find: lines(
      '    if (batch !== undefined) {',
      '      batch.givenBack.push(value);',
      '      return;',
      '    }',
    ),
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushAsync withdraws a value whose write is in flight, and its grains stay until that returns',
    },
  },
  {
    name: 'an adopted session forgets that its values were refused',
    file: 'store/commit/session-work.ts',
    find: '    this.writeError ??= other.writeError;',
    replace: '',
    caughtBy: {
      file: 'test/contract/adopted-sessions.test.ts',
      test: 'adopt rejects the commit if a write ahead of the other session has failed',
    },
  },
  {
    name: 'a read in several turns does not learn that its value is freed',
    file: 'store/commit/publish.ts',
    find: lines('      core.watches.freed(run);', ''),
    replace: '',
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'readRange and readRangeAsync never give bytes of another value that has the id meanwhile',
    },
  },
  {
    name: 'a read stream holds no guard',
    file: 'store/readers/present-reads.ts',
    find: '    const guard = holdLog(core, core.published.currentBatch);',
    replace: lines(
      '    const guard = holdLog(core, core.published.currentBatch);',
      '    guard.release();',
    ),
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'createReadStream keeps a value that is archived after the call, whatever checkpoints there are',
    },
  },
  {
    name: 'the guard of a read stream stays after its end',
    file: 'store/streams/value-stream.ts',
    find: lines('    this.release();', '    controller.close();'),
    replace: '    controller.close();',
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'createReadStream holds a guard until it ends, is cancelled or is aborted',
    },
  },
  {
    name: 'the checksum of a streamed value is not compared',
    file: 'store/streams/value-stream.ts',
    find: '    if (this.#isRead && crc !== undefined) checkCrc(place, crc, this.#crc);',
    replace: '',
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'createReadStream errors with VARVE_CORRUPT instead of the last chunk of a damaged value',
    },
  },
  {
    name: 'the checksum of a pushed piece is forgotten when the next one is written',
    file: 'store/commit/value-writer.ts',
    find: lines('    await writing;', '    this.digest();'),
    replace: '    await writing;',
    caughtBy: { file: 'test/store/streams/stream-fuzz.test.ts' },
  },
  {
    name: 'bytes of a chunk that do not fit the memory of the consumer are dropped',
    file: 'store/streams/value-stream.ts',
    find: '      this.#chunk = chunk.subarray(count);',
    replace: '      this.#chunk = nothing;',
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'createReadStream fills the memory of a consumer that brings its own, whatever its length',
    },
  },
  {
    name: 'a consumer with memory of its own does not learn of the end',
    file: 'store/streams/value-stream.ts',
    find: '    controller.byobRequest?.respond(0);',
    replace: '',
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'createReadStream fills the memory of a consumer that brings its own, whatever its length',
    },
  },
  {
    name: 'chunks beside a writer are not proven',
    file: 'store/readers/proven-reads.ts',
    find: "      const verdict = reached ? this.#verdict(parts, attempt.spot) : 'gone';",
    replace: "      const verdict: Verdict = reached ? 'holds' : 'gone';",
    caughtBy: {
      file: 'test/contract/ranges-and-streams.test.ts',
      test: 'createReadStream beside a writer is of its batch, and VARVE_SNAPSHOT_GONE once that is freed',
    },
  },
];
