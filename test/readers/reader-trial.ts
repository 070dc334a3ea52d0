/**
 * A reader on trial: does one thing after another beside a writer that commits between its reads,
 * and holds every answer against what the history says of the reader's batch.
 *
 * Invariant: an answer is right for the batch, or `VARVE_SNAPSHOT_GONE` where the history explains
 * it; anything else fails the test. `gone` counts those.
 */

import { expect } from 'vitest';
import { type GrainId, Store, type StoreView, VarveError } from '../../src/index.ts';
import { historyPath, readsBetween, WrittenHistory } from './written-history.ts';

/** Values: the bytes of some, the whole of `has` and `lengthOf`. */
export const operations = [
  'open',
  'get',
  'getAsync',
  'has',
  'lengthOf',
  'refresh',
  'a view',
  'commitLog',
  'verify',
  'verify deep',
] as const;
export type Operation = (typeof operations)[number];

export interface TrialHabits {
  readonly seed: number;
  readonly frees?: boolean;
  readonly settleBytes?: number;
  readonly cacheBytes?: number;
  /** Batches before the reader opens. */
  readonly batches?: number;
}

/** When the writer commits meanwhile: before that read of the operation, so many batches. */
export interface Beside {
  readonly read: number;
  readonly commits: number;
}

/** Ids that are looked at by one operation. */
const idsPerOperation = 12;

export class ReaderTrial {
  readonly history: WrittenHistory;
  readonly #files: ReturnType<typeof readsBetween>;
  readonly #cacheBytes: number;
  #beside: Beside | undefined;
  #firstRead = 0;
  #reader: Store | undefined;
  readonly #views: StoreView[] = [];
  /** Answers that were `VARVE_SNAPSHOT_GONE` or `VARVE_LOG_TRUNCATED`. */
  gone = 0;
  /** Answers that were bytes. */
  right = 0;

  private constructor(history: WrittenHistory, cacheBytes: number) {
    this.history = history;
    this.#cacheBytes = cacheBytes;
    this.#files = readsBetween(history.files, (read) => {
      const beside = this.#beside;
      if (beside === undefined || read - this.#firstRead !== beside.read) return;
      history.commits(beside.commits);
    });
  }

  static async begin(habits: TrialHabits): Promise<ReaderTrial> {
    const { seed, frees = true, settleBytes = 2048, cacheBytes = 0, batches = 20 } = habits;
    const history = await WrittenHistory.begin({ seed, frees, settleBytes });
    history.commits(batches);
    // Closed and opened again: the reader has to read marks that no log has touched.
    if (history.random.chance(0.5)) await history.reopen();
    const trial = new ReaderTrial(history, cacheBytes);
    await trial.#open();
    return trial;
  }

  get reader(): Store {
    if (this.#reader === undefined) throw new Error('the reader is open');
    return this.#reader;
  }

  /** Reads of the reader so far. */
  get reads(): number {
    return this.#files.reads;
  }

  /** Does the operation; how many reads that took. */
  async run(operation: Operation, beside?: Beside): Promise<number> {
    this.#beside = beside;
    this.#firstRead = this.#files.reads;
    await this.#do(operation);
    this.#beside = undefined;
    return this.#files.reads - this.#firstRead;
  }

  async end(): Promise<void> {
    await this.reader.close();
    await this.history.close();
  }

  async #open(): Promise<void> {
    await this.#reader?.close();
    this.#views.length = 0;
    const least = this.history.currentBatch;
    const options = { fileSystem: this.#files, readOnly: true, cacheBytes: this.#cacheBytes };
    const reader = await Store.open(historyPath, options);
    this.#reader = reader;
    this.#expectPresent(least);
    expect(reader.recovery.healed).toEqual([]);
  }

  #expectPresent(least: number): void {
    const { currentBatch, checkpoint } = this.reader;
    expect(currentBatch).toBeGreaterThanOrEqual(least);
    expect(currentBatch).toBeLessThanOrEqual(this.history.currentBatch);
    expect(checkpoint).toBe(this.history.batch(currentBatch).checkpoint);
  }

  async #do(operation: Operation): Promise<void> {
    const { reader } = this;
    switch (operation) {
      case 'open':
        return await this.#open();
      case 'get':
        for (const id of this.#someIds())
          this.#expectBytes(reader.view(), id, () => reader.get(id));
        return;
      case 'getAsync':
        for (const id of this.#someIds()) {
          const view = reader.view();
          const answer = await settled(() => reader.getAsync(id));
          this.#expectBytes(view, id, answer);
        }
        return;
      case 'has':
        for (const id of this.#someIds()) this.#expectHas(reader.currentBatch, id);
        return;
      case 'lengthOf':
        for (const id of this.#someIds()) this.#expectLength(reader.currentBatch, id);
        return;
      case 'refresh': {
        this.#views.push(reader.view());
        const least = this.history.currentBatch;
        expect(await reader.refresh()).toBe(reader.currentBatch);
        return this.#expectPresent(least);
      }
      case 'a view':
        for (const view of [...this.#views, reader.view()]) this.#expectView(view);
        return;
      case 'commitLog':
        return await this.#expectLog();
      default:
        return await this.#expectSound(operation === 'verify deep');
    }
  }

  /** Ids of the reader's batch, of those before and of those after. */
  #someIds(batch = this.reader.currentBatch): GrainId[] {
    const { random } = this.history;
    const there = [...this.history.batch(batch).values.keys()];
    const all = this.history.allIds();
    const picked: GrainId[] = [];
    for (let at = 0; at < idsPerOperation; at++) {
      const from = at % 3 === 0 ? all : there;
      const id = from[random.below(from.length)];
      if (id !== undefined) picked.push(id);
    }
    return picked;
  }

  #expectBytes({ batch }: StoreView, id: GrainId, read: () => Uint8Array | undefined): void {
    const expected = this.history.batch(batch).values.get(id);
    try {
      const bytes = read();
      const isRight =
        bytes === undefined || expected === undefined
          ? bytes === expected
          : Buffer.compare(bytes, expected) === 0;
      expect(isRight, `value ${id} as of batch ${batch}`).toBe(true);
      this.right += 1;
    } catch (error) {
      this.#expectGone(batch, id, error);
    }
  }

  /** Gone is what was freed since; without that, what cannot be proven past the checkpoint. */
  #expectGone(batch: number, id: GrainId, error: unknown): void {
    if (!(error instanceof VarveError)) throw error;
    if (error.code !== 'VARVE_SNAPSHOT_GONE') throw error;
    this.gone += 1;
    if (this.history.checkpoint > batch) return;
    expect(this.history.isFreedAfter(batch, id), `${error.message} (${id})`).toBe(true);
  }

  #expectHas(batch: number, id: GrainId): void {
    try {
      expect(this.reader.has(id)).toBe(this.history.batch(batch).values.has(id));
      this.right += 1;
    } catch (error) {
      this.#expectGone(batch, id, error);
    }
  }

  #expectLength(batch: number, id: GrainId): void {
    try {
      const expected = this.history.batch(batch).values.get(id)?.length;
      expect(this.reader.lengthOf(id)).toBe(expected);
      this.right += 1;
    } catch (error) {
      this.#expectGone(batch, id, error);
    }
  }

  #expectView(view: StoreView): void {
    for (const id of this.#someIds(view.batch)) this.#expectBytes(view, id, () => view.get(id));
  }

  async #expectLog(): Promise<void> {
    const { currentBatch, checkpoint } = this.reader;
    let next = checkpoint + 1;
    try {
      for await (const { batch, changes } of this.reader.commitLog()) {
        expect(batch).toBe(next);
        const told = changes.map(({ operation, id }) => `${operation} ${id}`);
        expect(told.sort()).toEqual([...this.history.batch(batch).changes].sort());
        next += 1;
      }
      expect(next).toBe(currentBatch + 1);
      this.right += 1;
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      expect(['VARVE_SNAPSHOT_GONE', 'VARVE_LOG_TRUNCATED'], error.message).toContain(error.code);
      expect(this.history.checkpoint).toBeGreaterThanOrEqual(next);
      this.gone += 1;
    }
  }

  async #expectSound(deep: boolean): Promise<void> {
    const { currentBatch } = this.reader;
    try {
      for await (const finding of this.reader.verify({ deep })) {
        throw new Error(`a finding in a sound store: ${finding.message} (${finding.grainId})`);
      }
      this.right += 1;
    } catch (error) {
      if (!(error instanceof VarveError) || error.code !== 'VARVE_SNAPSHOT_GONE') throw error;
      // Closing settles without a batch.
      const { reopens } = this.history;
      expect(this.history.currentBatch + reopens).toBeGreaterThan(currentBatch);
      this.gone += 1;
    }
  }
}

/** What a promise comes to, to be asked for later. */
async function settled<Result>(start: () => Promise<Result>): Promise<() => Result> {
  try {
    const result = await start();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
