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
    find: '      if (received < length) throw this.#wrongLength(length, received);',
    replace: '',
    caughtBy: {
      file: 'test/contract/pushes-in-flight.test.ts',
      test: 'pushStream refuses a source that yields fewer bytes',
    },
  },
  {
    name: 'the source of a push that is ended is not cancelled',
    file: 'store/streams/receiver.ts',
    find: '      this.#chunks.cancel(error);',
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

const sessions = 'test/forest/sessions/sessions.test.ts';
const frames = 'test/forest/sessions/frames.test.ts';
const described = 'test/forest/describe/describe.test.ts';

/** Uploads into a forest, and the description of what takes its space. */
export const faultsOfUploads: readonly SeededFault[] = [
  {
    name: 'a body that fails leaves the sessions that it has adopted reserved',
    file: 'forest/transactions/transaction.ts',
    find: '    for (const work of this.adopted) work.giveUp();',
    replace: '',
    caughtBy: { file: sessions, test: 'is abandoned with the transaction that adopted it' },
  },
  {
    name: 'a commit does not take the sessions that its transactions adopted',
    file: 'forest/commits/commit-preparation.ts',
    find: '    group.takeAdopted();',
    replace: '',
    caughtBy: { file: sessions, test: 'works with transactionSync' },
  },
  {
    name: 'a commit that is prepared in one step forgets adopted sessions',
    file: 'forest/commits/commit-preparation.ts',
    find: 'if (hasAdopted || archives.size',
    replace: 'if (archives.size',
    caughtBy: { file: 'test/forest/sessions/uploads-fuzz.test.ts', test: 'seed 1' },
  },
  {
    name: 'a transaction that only adopts a session is taken for empty',
    file: 'forest/commits/group.ts',
    find: ' || this.needsNodes || this.hasAdopted) return false;',
    replace: ' || this.needsNodes) return false;',
    caughtBy: { file: sessions, test: 'is refused, and left as it was, by adopt' },
  },
  {
    name: 'a session of another forest can be adopted',
    file: 'forest/sessions/forest-session.ts',
    find: 'if (found === undefined || found.work.nodes !== nodes) {',
    replace: 'if (found === undefined) {',
    caughtBy: { file: sessions, test: 'is refused, and left as it was, by adopt' },
  },
  {
    name: 'a session archives what a running transaction archives already',
    file: 'forest/commits/forest-writer.ts',
    find: 'this.#state.isArchived(id) || this.running?.archives.has(id) === true;',
    replace: 'this.#state.isArchived(id);',
    caughtBy: { file: sessions, test: 'what a running transaction pushed and archives' },
  },
  {
    name: 'values of an adopted session cannot be read before their commit is prepared',
    file: 'forest/commits/group.ts',
    find: 'adoptedValue(this.#adopted, id) ?? this.#session?.get(id)',
    replace: 'this.#session?.get(id)',
    caughtBy: { file: sessions, test: 'that its transaction and later ones read and archive' },
  },
  {
    name: 'frames of a value are sealed without their index',
    file: 'codecs/vault.ts',
    find: '  setU32(context, frameIndexOffset, index);',
    replace: '',
    caughtBy: { file: frames, test: 'or if frames have changed places' },
  },
  {
    name: 'two streams are sealed under one number',
    file: 'forest/sessions/sealed-stream.ts',
    find: 'number: nodes.takeSeal(), frames',
    replace: 'number: 1, frames',
    caughtBy: { file: frames, test: 'seals each frame under a context of its own' },
  },
  {
    name: 'a stream that cannot be made for its id leaves its grains reserved',
    file: 'store/streams/pushes.ts',
    find: '        push.giveBack(place);\n        throw error;\n      }\n    });\n  }\n\n  #check',
    replace: '        throw error;\n      }\n    });\n  }\n\n  #check',
    caughtBy: { file: 'test/store/streams/made-streams.test.ts', test: 'leaves nothing reserved' },
  },
  {
    name: 'a long value counts in the entries and in the history of its tree',
    file: 'forest/describe/measurement.ts',
    find: "      if (counted === 'again') return undefined;",
    replace: '',
    caughtBy: { file: described, test: 'has the bytes of a plain count' },
  },
  {
    name: 'only the roots of what forks share count as shared',
    file: 'forest/describe/measurement.ts',
    find: '    return { ...path, isShared, isFirst };',
    replace: '    return { ...path, isFirst };',
    caughtBy: { file: described, test: 'has the bytes of a plain count' },
  },
  {
    name: 'nodes that are stored during a measurement count in it',
    file: 'forest/describe/held-state.ts',
    find: 'nodes.isDurable(ref) && !storedLater.has(ref.id)',
    replace: 'nodes.isDurable(ref)',
    caughtBy: { file: described, test: 'that writes states bit by bit' },
  },
  {
    name: 'a long value is shared only if the first way to it is',
    file: 'forest/describe/measurement.ts',
    find: '      for (const long of longRefs(node)) this.#shares.giveToMany(this.#shares.find(long));',
    replace: '',
    caughtBy: { file: described, test: 'has the bytes of a plain count' },
  },
  {
    name: 'values that wait to be archived count as pushed',
    file: 'forest/describe/describe-forest.ts',
    find: 'if (this.#held.isStored(ref)) bytes += sizes.of(ref.id);',
    replace: '',
    caughtBy: { file: described, test: 'that writes states bit by bit' },
  },
];
