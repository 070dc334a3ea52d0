/**
 * Sums over all messages of a store, for random histories: they are its statistics, and what its disk
 * was asked for. Some of the commits fail, some sessions are abandoned after they have written ahead,
 * some disks are full.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type GrainId,
  memoryFileSystem,
  type Session,
  Store,
  type VarveError,
} from '../../../src/index.ts';
import { inChunks, patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { SmallDisk } from '../../support/disks/small-disk.ts';
import {
  type Fault,
  type FileCall,
  WrappedFileSystem,
} from '../../support/disks/wrapped-file-system.ts';
import { check } from '../../support/fixtures/store-checks.ts';
import { listen, RecordedMessages, sumOf } from './recorded-messages.ts';

type Step =
  | { readonly kind: 'commit'; readonly lengths: readonly number[] }
  | { readonly kind: 'commitSync'; readonly lengths: readonly number[] }
  | { readonly kind: 'together'; readonly lengths: readonly number[] }
  | { readonly kind: 'abandon'; readonly lengths: readonly number[] }
  | { readonly kind: 'streams'; readonly lengths: readonly number[]; readonly adopted: boolean }
  | { readonly kind: 'archive'; readonly part: number }
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'refuse'; readonly writes: number };

const lengths = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.nat(300) },
    { weight: 3, arbitrary: fc.nat(20_000) },
    { weight: 1, arbitrary: fc.constant(700_000) },
  ),
  { minLength: 1, maxLength: 6 },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('commit', 'commitSync', 'abandon', 'together'), lengths }),
  fc.record({ kind: fc.constant('streams'), lengths, adopted: fc.boolean() }),
  fc.record({ kind: fc.constant('archive'), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ kind: fc.constant('checkpoint') }),
  fc.record({ kind: fc.constant('refuse'), writes: fc.integer({ min: 1, max: 3 }) }),
) as fc.Arbitrary<Step>;

/** Only a disk that refuses something may make a call fail, and it may not poison the store. */
function expectRefusal(error: VarveError): void {
  expect(error.code).toBe('VARVE_IO');
}

async function pushed(store: Store, all: readonly number[], sync: boolean): Promise<GrainId[]> {
  const session = store.session();
  try {
    const ids = all.map((length, at) => session.push(patternOf(length, at)));
    if (sync) session.commitSync();
    else await session.commit();
    return ids;
  } catch (error) {
    expectRefusal(error as VarveError);
    return [];
  }
}

/** Streams that are pushed while another session commits, and one that is given up. */
async function streamed(
  store: Store,
  all: readonly number[],
  adopted: boolean,
): Promise<GrainId[]> {
  const session = store.session();
  const given = store.session();
  const stream = (one: Session, length: number): Promise<GrainId> =>
    one.pushStream(inChunks(patternOf(length)), { length });
  const pushes = all.flatMap((length) => [stream(session, length), stream(given, length)]);
  const other = pushed(store, all, false);
  const outcomes = await Promise.allSettled(pushes);
  if (adopted) session.adopt(given);
  else given.abandon();
  const ids = outcomes.flatMap((outcome, at) => {
    if (outcome.status === 'rejected') expectRefusal(outcome.reason);
    return outcome.status === 'fulfilled' && (adopted || at % 2 === 0) ? [outcome.value] : [];
  });
  const isDurable = await session.commit().then(
    () => true,
    (error: VarveError) => expectRefusal(error),
  );
  return [...(await other), ...(isDurable === true ? ids : [])];
}

async function run(
  store: Store,
  disk: WrappedFileSystem,
  steps: readonly Step[],
  faults: Fault[],
): Promise<void> {
  const live: GrainId[] = [];
  for (const one of steps) {
    if (one.kind === 'commit' || one.kind === 'commitSync') {
      live.push(...(await pushed(store, one.lengths, one.kind === 'commitSync')));
    } else if (one.kind === 'together') {
      const all = one.lengths.map((length) => pushed(store, [length, 1], false));
      live.push(...(await Promise.all(all)).flat());
    } else if (one.kind === 'streams') {
      live.push(...(await streamed(store, one.lengths, one.adopted)));
    } else if (one.kind === 'abandon') {
      const session = store.session();
      for (const length of one.lengths) session.push(patternOf(length));
      session.abandon();
    } else if (one.kind === 'archive') {
      const session = store.session();
      const ids = live.splice(0, Math.ceil(live.length * one.part));
      for (const id of ids) session.archive(id);
      await session.commit().catch((error: VarveError) => {
        expectRefusal(error);
        live.push(...ids);
      });
    } else if (one.kind === 'checkpoint') {
      await store.checkpointTo(store.currentBatch).catch(expectRefusal);
    } else {
      const when = ({ bytes }: FileCall) => bytes !== 512;
      faults.push(disk.fail('write', 'ENOSPC', { times: one.writes, when }));
    }
  }
}

/** What an open store has written. */
interface Written {
  readonly bytesWritten: number;
  readonly writes: number;
}

/**
 * All messages, and at each commit the sums of all commits so far beside what was written. Writes
 * after the last message are in none: on a full disk, a settle follows the message of its batch.
 */
class Sums extends RecordedMessages {
  readonly sums: Written[] = [];
  readonly actual: Written[] = [];
  readonly #end: () => void;

  /** `actual` gives what was written since the store was opened. */
  constructor(actual: () => Written) {
    super();
    const sum = { bytesWritten: 0, writes: 0 };
    this.#end = listen('varve:commit', ({ bytesWritten, writes }) => {
      sum.bytesWritten += bytesWritten;
      sum.writes += writes;
      this.sums.push({ ...sum });
      this.actual.push(actual());
    });
  }

  override end(): void {
    super.end();
    this.#end();
  }
}

/** Compares what was reported with what the store says, after a last commit. */
function expectSums(store: Store, messages: Sums): void {
  const statistics = store.statistics();
  expect(messages.sums).toEqual(messages.actual);
  const commits = messages.of('varve:commit');
  const checkpoints = messages.of('varve:checkpoint');
  expect(commits.map(({ batch }) => batch)).toEqual(commits.map((_, at) => at + 1));
  const freed = {
    values: sumOf(checkpoints, ({ freedValues }) => freedValues),
    bytes: sumOf(checkpoints, ({ freedBytes }) => freedBytes),
  };
  expect({
    commits: commits.length,
    sessionsCommitted: sumOf(commits, ({ sessions }) => sessions),
    values: sumOf(commits, ({ values }) => values) - freed.values,
    valueBytes: sumOf(commits, ({ valueBytes }) => valueBytes) - freed.bytes,
  }).toEqual({
    commits: statistics.commits,
    sessionsCommitted: statistics.sessionsCommitted,
    values: statistics.values,
    valueBytes: statistics.valueBytes,
  });
  expect(checkpoints.at(-1)?.checkpoint ?? 0).toBe(store.checkpoint);
  for (const [at, one] of messages.all.entries()) {
    if (one.name !== 'varve:checkpoint') continue;
    expect(messages.all[at - 1]).toMatchObject({ message: { batch: one.message.batch } });
  }
}

/** The store settles after the last message: the refused write has shown that the disk is full. */
const settleAfterLastMessage: Step[] = [
  { kind: 'abandon', lengths: [700_000, 700_000, 0] },
  { kind: 'refuse', writes: 1 },
  { kind: 'commit', lengths: [14_557, 0] },
];

it('sums of the messages are the statistics, and the writes of the disk', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const faults: Fault[] = [];
    const messages = new Sums(() => {
      const refused = sumOf(faults, ({ count }) => count);
      const writes = disk.count('write') - writesOfCreation - refused;
      return { bytesWritten: store.statistics().bytesWritten, writes };
    });
    const store = await Store.open('store', { fileSystem: disk, settleBytes: 3000 });
    const writesOfCreation = disk.count('write');
    await run(store, disk, steps, faults);
    for (const fault of faults) fault.stop();
    await store.put(new Uint8Array(1));
    expectSums(store, messages);
    await check.sound(store);
    await store.close();
    messages.end();
  });
  await fc.assert(property, { numRuns: 60, examples: [[settleAfterLastMessage]] });
});

it('sums of the messages are the statistics on a full disk, which makes batches of its own', async () => {
  let ownBatches = 0;
  for (const kind of ['length', 'sparse'] as const) {
    const room = new SmallDisk(300, kind);
    let writes = 0;
    const disk = new SimulatedDisk({
      records: false,
      faultOf: (operation) => {
        const fault = room.faultOf(operation);
        if (operation.kind === 'write' && fault === undefined) writes += 1;
        return fault;
      },
    });
    const messages = new Sums(() => ({ bytesWritten: store.statistics().bytesWritten, writes }));
    const store = await Store.open('store', { fileSystem: disk, cacheBytes: 0 });
    writes = 0;
    for (let round = 0; round < 4; round += 1) {
      const live: GrainId[] = [];
      for (;;) {
        const ids = await pushed(store, Array(50).fill(100 + 50 * round), false);
        if (ids.length === 0) break;
        live.push(...ids);
      }
      expect(live.length).toBeGreaterThan(2000);
      while (live.length > 0) {
        const session = store.session();
        for (const id of live.splice(0, 500)) session.archive(id);
        await session.commit();
      }
      await store.checkpointTo(store.currentBatch);
    }
    await store.put(new Uint8Array(1));
    expectSums(store, messages);
    ownBatches += messages.of('varve:commit').filter(({ sessions }) => sessions === 0).length;
    expect(room.refusals).toBeGreaterThan(0);
    await check.sound(store);
    await store.close();
    messages.end();
  }
  expect(ownBatches).toBeGreaterThan(0);
});
