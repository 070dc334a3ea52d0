/**
 * Random histories of the whole contract, held against the plain model: sessions that push, archive,
 * withdraw, set the header, checkpoint, commit alone or together, are abandoned or refused by the
 * disk; single puts and checkpoints; guards; stores that are closed, or left, and opened again.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  type Session,
  Store,
  type StoreOptions,
  type VarveErrorCode,
} from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import {
  check,
  contentOf,
  overwrite,
  present,
  storePath,
} from '../support/fixtures/store-checks.ts';
import { compareCounts, compareStore } from '../support/oracles/compare-store.ts';
import { ExpectedContent, type Outcome, type Work } from '../support/oracles/expected-content.ts';

const sessionsMax = 3;
const at = fc.nat(1000);
const slot = fc.nat(sessionsMax - 1);
const size = fc.oneof(
  { weight: 9, arbitrary: fc.oneof(fc.nat(60), fc.nat(3000), fc.nat(40_000)) },
  { weight: 1, arbitrary: fc.constantFrom(0, 8152, 8153, 70_000) },
);
/** From here on a value is long. */
const longBytes = 1_048_568;

type Step =
  | { kind: 'push'; slot: number; size: number; count: number }
  | { kind: 'archive' | 'withdraw' | 'header' | 'checkpoint'; slot: number; at: number }
  | { kind: 'commit' | 'commitSync' | 'refuse' | 'abandon'; slot: number }
  | { kind: 'commitAll' | 'release' | 'reopen' | 'leave' }
  | { kind: 'guard' | 'checkpointNow'; at: number }
  | { kind: 'put'; size: number; at: number };

function steps(weight: number, ...kinds: Step['kind'][]): fc.WeightedArbitrary<Step> {
  const kind = fc.constantFrom(...kinds);
  return {
    weight,
    arbitrary: fc.record({ kind, slot, size, count: at, at }) as fc.Arbitrary<Step>,
  };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  steps(10, 'push'),
  steps(14, 'archive'),
  steps(6, 'checkpoint'),
  steps(4, 'withdraw', 'header'),
  steps(16, 'commit', 'commitSync', 'commitAll'),
  steps(3, 'refuse', 'abandon'),
  steps(2, 'put', 'checkpointNow'),
  steps(2, 'guard', 'release'),
  steps(2, 'reopen', 'leave'),
);
const historyOf = (minLength: number, maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(step, { minLength, maxLength, size: 'max' });

interface Pair {
  readonly real: Session;
  readonly plain: Work;
}

class History {
  readonly #options: StoreOptions;
  readonly #plain = new ExpectedContent();
  readonly #pairs: (Pair | undefined)[] = [];
  #guards: { release(): void }[] = [];
  #inner: FileSystem = memoryFileSystem();
  #disk = new WrappedFileSystem(this.#inner);
  #store: Store | undefined;
  #seed = 0;
  /** The disk has refused writes since the store was opened. */
  #mayBeFull = false;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get store(): Store {
    return present(this.#store);
  }

  async open(): Promise<void> {
    this.#disk = new WrappedFileSystem(this.#inner);
    this.#store = await Store.open(storePath, { ...this.#options, fileSystem: this.#disk });
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'push':
        return this.#push(step.slot, step.size, 1 + (step.count % 4));
      case 'archive':
        return this.#archive(step.slot, step.at);
      case 'withdraw':
        return this.#withdraw(step.slot, step.at);
      case 'header':
        return this.#header(step.slot, step.at);
      case 'checkpoint':
        return this.#checkpoint(step.slot, step.at);
      case 'abandon':
        this.#pairs[step.slot]?.real.abandon();
        this.#pairs[step.slot] = undefined;
        return;
      case 'put':
        return await this.#put(step.at % 50 === 0 ? longBytes + step.size : step.size);
      case 'checkpointNow':
        return await this.#checkpointNow(step.at);
      case 'guard':
        return this.#guard(step.at);
      case 'release':
        this.#guards.pop()?.release();
        this.#plain.guards.pop();
        return;
      case 'commit':
        return await this.#commit([step.slot]);
      case 'commitAll':
        return await this.#commit([2, 0, 1]);
      case 'commitSync':
        return this.#commitSync(step.slot);
      case 'refuse':
        return await this.#refuse(step.slot);
      default:
        return await this.#reopen(step.kind === 'leave');
    }
  }

  #pair(slot: number): Pair {
    this.#pairs[slot] ??= { real: this.store.session(), plain: { operations: [] } };
    return this.#pairs[slot];
  }

  get #works(): Work[] {
    return this.#pairs.flatMap((pair) => (pair === undefined ? [] : [pair.plain]));
  }

  #expectNew(id: GrainId): void {
    expect(this.#plain.current.values.has(id)).toBe(false);
    expect(this.#works.some((work) => pushedBy(work).has(id))).toBe(false);
  }

  #push(slot: number, length: number, count: number): void {
    const { real, plain } = this.#pair(slot);
    for (let n = 0; n < count; n += 1) {
      this.#seed += 1;
      const bytes = patternOf(length + n, this.#seed);
      const id = real.push(bytes);
      this.#expectNew(id);
      plain.operations.push({ operation: 'allocate', id, bytes });
    }
  }

  #archive(slot: number, choice: number): void {
    const id = picked([...this.#plain.current.values.keys()], choice);
    if (id === undefined) return;
    const { real, plain } = this.#pair(slot);
    const code = this.#plain.archiveError(id, plain, this.#works);
    if (code !== undefined) {
      check.throws(code, () => real.archive(id));
      return;
    }
    real.archive(id);
    plain.operations.push({ operation: 'archive', id });
  }

  #withdraw(slot: number, choice: number): void {
    const { real, plain } = this.#pair(slot);
    const id = picked([...pushedBy(plain).keys()], choice);
    if (id === undefined) return;
    real.archive(id);
    plain.operations = plain.operations.filter((one) => one.id !== id);
    expect(real.get(id)).toBe(undefined);
    check.throws('VARVE_NOT_FOUND', () => real.archive(id));
  }

  #header(slot: number, choice: number): void {
    const { real, plain } = this.#pair(slot);
    const ids = [...pushedBy(plain).keys(), ...this.#plain.current.values.keys()];
    const id = picked<GrainId | null>([null, ...ids], choice) ?? null;
    real.setEmbeddedHeader(id);
    plain.header = id;
  }

  #checkpoint(slot: number, choice: number): void {
    const { real, plain } = this.#pair(slot);
    // One too many, the current one, those just before it; now and then any.
    const { batch: current } = this.#plain.current;
    const batch = Math.max(0, current + 1 - (choice % (choice % 9 === 0 ? 1000 : 5)));
    if (batch > current) {
      check.throws('VARVE_INVALID_ARGUMENT', () => real.checkpointTo(batch));
      return;
    }
    real.checkpointTo(batch);
    plain.checkpointTo = Math.max(plain.checkpointTo ?? 0, batch);
  }

  async #put(length: number): Promise<void> {
    this.#seed += 1;
    const bytes = patternOf(length, this.#seed);
    const { id, batch } = await this.store.put(bytes);
    this.#expectNew(id);
    this.#expectCommitted([batch], [{ operations: [{ operation: 'allocate', id, bytes }] }]);
  }

  async #checkpointNow(choice: number): Promise<void> {
    const batch = choice % (this.#plain.current.batch + 1);
    const found = await this.store.checkpointTo(batch);
    this.#expectCommitted([found], [{ operations: [], checkpointTo: batch }]);
  }

  #guard(choice: number): void {
    const { batch: current, checkpoint } = this.#plain.current;
    const batch = Math.max(0, current - (choice % (choice % 9 === 0 ? 1000 : 6)));
    if (batch < checkpoint) {
      check.throws('VARVE_LOG_TRUNCATED', () => this.store.guard(batch));
      return;
    }
    this.#guards.push(this.store.guard(batch));
    this.#plain.guards.push(batch);
  }

  async #commit(slots: readonly number[]): Promise<void> {
    const pairs = this.#takeOut(slots);
    const commits = pairs.map(({ real }) => real.commit());
    const found = (await Promise.allSettled(commits)).map(outcomeOf);
    this.#expectCommitted(
      found,
      pairs.map(({ plain }) => plain),
    );
  }

  #commitSync(slot: number): void {
    for (const { real, plain } of this.#takeOut([slot])) {
      let found: Outcome;
      try {
        found = real.commitSync();
      } catch (error) {
        found = (error as { code: VarveErrorCode }).code;
      }
      this.#expectCommitted([found], [plain]);
    }
  }

  /** The store has ended these commits so; batches that it made by itself may lie before them. */
  #expectCommitted(found: readonly Outcome[], works: readonly Work[]): void {
    const batches = found.filter((outcome): outcome is number => typeof outcome === 'number');
    this.#ownBatchesUpTo(Math.min(...batches) - 1);
    expect(found).toEqual(this.#plain.commit(works));
  }

  #ownBatchesUpTo(batch: number): void {
    if (!this.#mayBeFull || batch === Number.POSITIVE_INFINITY) return;
    while (this.#plain.current.batch < batch) this.#plain.addOwn();
  }

  /** The disk refuses one commit: nothing comes of it, unless there was nothing to write. */
  async #refuse(slot: number): Promise<void> {
    for (const { real, plain } of this.#takeOut([slot])) {
      const pushes = pushedBy(plain).size;
      const isFull = (plain.operations.length - pushes) % 2 === 0;
      // Where the file ends, any error may mean that the disk is full.
      this.#mayBeFull = true;
      const times = pushes > 0 ? 99 : 1;
      const fault = this.#disk.fail('write', isFull ? 'ENOSPC' : 'EIO', { times });
      const [found] = (await Promise.allSettled([real.commit()])).map(outcomeOf);
      fault.stop();
      if (fault.count > 0 && found === 'VARVE_IO') continue;
      // A write of housekeeping failed, or none was made: the commit did not need it.
      this.#expectCommitted([present(found)], [plain]);
    }
  }

  #takeOut(slots: readonly number[]): Pair[] {
    return slots.flatMap((slot) => {
      const pair = this.#pairs[slot];
      this.#pairs[slot] = undefined;
      return pair === undefined ? [] : [pair];
    });
  }

  /** Opens the store again: closed before, or left as a killed process leaves it. */
  async #reopen(leave: boolean): Promise<void> {
    if (leave) {
      const left = await contentOf(this.#inner);
      await this.store.close();
      this.#inner = memoryFileSystem();
      await overwrite(this.#inner, left);
    } else await this.store.close();
    this.#mayBeFull = false;
    this.#pairs.length = 0;
    this.#guards = [];
    this.#plain.guards.length = 0;
    await this.open();
    const { recovery } = this.store;
    expect(recovery).toMatchObject({ revertedBatch: undefined, healed: [] });
    if (!leave) expect(recovery).toMatchObject({ clean: true, replayedBatches: 0 });
    else if (recovery.replayedBatches > 0) expect(recovery.clean).toBe(false);
    await this.compareAll();
  }

  /** What costs little. */
  compare(): void {
    const { store } = this;
    const { guards } = this.#plain;
    this.#ownBatchesUpTo(store.currentBatch);
    const { batch, checkpoint, header, values } = this.#plain.current;
    expect(store.currentBatch).toBe(batch);
    expect(store.checkpoint).toBe(checkpoint);
    expect(store.embeddedHeader).toBe(header);
    const oldest = guards.length === 0 ? undefined : Math.min(...guards);
    expect(store.statistics().oldestGuard).toBe(oldest);
    compareCounts(store, values);
  }

  /** Every value, in the store and in open sessions, the log, and the store's own verification. */
  async compareAll(): Promise<void> {
    this.compare();
    const { store } = this;
    await compareStore(store, this.#plain.current);
    for (const [id, { bytes }] of this.#plain.current.values) {
      expect(store.lengthOf(id)).toBe(bytes.length);
    }
    for (const pair of this.#pairs) {
      for (const [id, bytes] of pair === undefined ? [] : pushedBy(pair.plain)) {
        expect(store.has(id)).toBe(false);
        expectSameBytes(present(pair?.real.get(id)), bytes);
      }
    }
  }

  async end(): Promise<void> {
    await this.compareAll();
    await this.#reopen(false);
    await this.store.close();
  }
}

/** Values of the session that it has not withdrawn. */
function pushedBy({ operations }: Work): Map<GrainId, Uint8Array> {
  const pushed = new Map<GrainId, Uint8Array>();
  for (const one of operations) if (one.operation === 'allocate') pushed.set(one.id, one.bytes);
  return pushed;
}

function picked<T>(items: readonly T[], choice: number): T | undefined {
  return items[choice % Math.max(1, items.length)];
}

function outcomeOf(result: PromiseSettledResult<number>): Outcome {
  if (result.status === 'fulfilled') return result.value;
  return (result.reason as { code: VarveErrorCode }).code;
}

async function runHistory(options: StoreOptions, taken: readonly Step[]): Promise<void> {
  const run = new History(options);
  await run.open();
  for (const [at, next] of taken.entries()) {
    await run.take(next);
    if (at % 60 === 0) await run.compareAll();
    else run.compare();
  }
  await run.end();
}

describe('the store is what the contract says after', () => {
  it.each([
    ['settling at every commit', { settleBytes: 1 }],
    ['settling often, so that short histories come by everything', { settleBytes: 1500 }],
    ['hardly ever settling, without a cache', { cacheBytes: 0 }],
    ['with a cache of a few blocks', { settleBytes: 20_000, cacheBytes: 32 * 4096 }],
  ] as const)('%s', async (_, options) => {
    const history = fc.asyncProperty(historyOf(50, 200), (taken) => runHistory(options, taken));
    // Shrinking takes minutes: for it run the seed again without `endOnFailure`.
    await fc.assert(history, { numRuns: 12, endOnFailure: true });
  });

  it('a session with nothing to do, and a batch after which a full disk is tidied', async () => {
    const options = { settleBytes: 20_000, cacheBytes: 131_072 };
    const history = fc.asyncProperty(historyOf(50, 200), (taken) => runHistory(options, taken));
    await fc.assert(history, { numRuns: 1, seed: 1019001147, path: '1', endOnFailure: true });
  });

  it('a long history', async () => {
    const history = fc.asyncProperty(historyOf(1000, 1000), (taken) =>
      runHistory({ settleBytes: 2048 }, taken),
    );
    await fc.assert(history, { numRuns: 2, endOnFailure: true });
  });
});
