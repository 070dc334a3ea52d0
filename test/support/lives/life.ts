/**
 * The life of a store over a simulated disk, through any number of openings, beside the content
 * that it should have: what its sessions ask for goes to both.
 *
 * Invariant: `expected` holds exactly what was acknowledged, in order, and `acknowledged` says from
 * which operation of the disk on each batch has been. A commit that rejects leaves `expected` as it
 * was; one whose own sync failed is in `uncertain`, since reopening decides about it.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { isVarveError } from '../../../src/errors.ts';
import type { CompactReport, GrainId, LongOperation, Store } from '../../../src/index.ts';
import { patternOf } from '../bytes.ts';
import { hasEnded, type SimulatedDisk } from '../disks/simulated-disk.ts';
import { ExpectedContent, type Work } from '../oracles/expected-content.ts';
import { Answers, type Asked } from './answers.ts';
import { Draft } from './draft.ts';
import { type LifeSettings, openOn } from './life-settings.ts';

/** The message of a batch that has been published. */
interface PublishedBatch {
  readonly batch: number;
  readonly sessions: number;
}

/** The store is poisoned: this process's life with it is over. */
export class LifeOver extends Error {}

export class Life {
  readonly disk: SimulatedDisk;
  readonly settings: LifeSettings;
  readonly expected: ExpectedContent;
  /** Each batch acknowledged, and the number of the disk's next operation then. */
  readonly acknowledged: { readonly batch: number; readonly operation: number }[] = [];
  /** Sessions whose own sync failed, in order. */
  readonly uncertain: Work[] = [];
  /** Codes of commits that rejected, where that is no defect. */
  readonly rejections: string[] = [];
  /** The number of the disk's next operation when a session was rejected for good, for each. */
  readonly rejected: number[] = [];
  readonly #answers = new Answers();
  /** Operations that are not the subject of the history. */
  readonly aside = new Set<number>();
  /** A commit may reject: faults are being made. */
  tolerant = false;
  #store: Store | undefined;
  #seed: number;
  readonly #claimed = new Set<GrainId>();
  #stamped = 0;
  /** Commits that have not settled. */
  #outstanding = 0;
  /** Batches that the store has made for itself, as its messages say. */
  readonly #own = new Set<number>();
  #stamping: Promise<void> | undefined;

  constructor(disk: SimulatedDisk, settings: LifeSettings, expected = new ExpectedContent()) {
    this.disk = disk;
    this.settings = settings;
    this.expected = expected;
    this.#stamped = expected.current.batch;
    this.#seed = expected.current.batch * 16;
  }

  /** Its store has been open: what was in flight before has been decided. */
  get hasOpened(): boolean {
    return this.acknowledged.length > 0;
  }

  get isOpen(): boolean {
    return this.#store !== undefined;
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  /** Does what only leads up to the subject of the history. */
  async leadUp(before: () => Promise<unknown>): Promise<void> {
    const from = this.disk.operations.length;
    await before();
    for (let at = from; at < this.disk.operations.length; at++) this.aside.add(at);
  }

  async open(): Promise<void> {
    this.#store = await this.#opened();
    const { batch } = this.expected.current;
    this.acknowledged.push({ batch, operation: this.disk.operations.length });
  }

  /** The same store, with other expectations: those that opening has shown to hold. */
  goOn(expected: ExpectedContent): Life {
    const life = new Life(this.disk, this.settings, expected);
    life.#store = this.#store;
    return life;
  }

  async #opened(): Promise<Store> {
    for (;;) {
      try {
        return await openOn(this.disk, this.settings);
      } catch (error) {
        if (!this.#isRefusal(error)) throw error;
      }
    }
  }

  /** The disk refused, once, and that is no defect. */
  #isRefusal(error: unknown): boolean {
    if (!this.tolerant || !isVarveError(error, 'VARVE_IO') || hasEnded(error)) return false;
    this.rejections.push(error.code);
    return true;
  }

  async close(): Promise<void> {
    const { store } = this;
    try {
      await store.close();
    } catch (error) {
      this.refused({ operations: [] }, error);
    }
    this.#store = undefined;
  }

  /** Closes a store that is poisoned. */
  async abandonStore(): Promise<void> {
    await this.#store?.close().catch(() => undefined);
    this.#store = undefined;
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  /** Ids of values that are committed and that nobody has archived, the oldest first. */
  get live(): GrainId[] {
    const live: GrainId[] = [];
    for (const [id, { archivedIn }] of this.expected.current.values) {
      if (archivedIn === undefined && !this.#claimed.has(id)) live.push(id);
    }
    return live;
  }

  bytes(length: number): Uint8Array {
    this.#seed += 1;
    return patternOf(length, this.settings.sameBytes === true ? length : this.#seed);
  }

  draft(): Draft {
    return new Draft(this, this.store.session());
  }

  /** Commits what `change` asks for, in a session of its own; its batch where it was accepted. */
  async commit(change: (draft: Draft) => void): Promise<number | undefined> {
    const draft = this.draft();
    change(draft);
    return await draft.commit();
  }

  async push(...lengths: number[]): Promise<number | undefined> {
    return await this.commit((draft) => {
      for (const length of lengths) draft.push(length);
    });
  }

  /** Frees everything that has been archived. */
  async checkpoint(): Promise<number | undefined> {
    const { batch } = this.expected.current;
    return await this.commit((draft) => draft.checkpointTo(batch));
  }

  async put(length: number): Promise<void> {
    const bytes = this.bytes(length);
    await this.settled({ operations: [], unknown: bytes }, async (work) => {
      const { id, batch } = await this.store.put(bytes);
      delete work.unknown;
      work.operations.push({ operation: 'allocate', id, bytes });
      return batch;
    });
  }

  /**
   * Compacts; other calls may go on meanwhile. The report, or undefined where it rejected and may, or
   * the store was closed. It takes batches of its own between those of sessions: the messages of the
   * store say which.
   */
  async compact(options: LongOperation = {}): Promise<CompactReport | undefined> {
    const noted = (message: unknown): void => this.#noteBatch(message as PublishedBatch);
    subscribe('varve:commit', noted);
    try {
      return await this.#compacted(options);
    } finally {
      unsubscribe('varve:commit', noted);
    }
  }

  async #compacted(options: LongOperation): Promise<CompactReport | undefined> {
    try {
      const report = await this.store.compact(options);
      this.#acceptOwn();
      if (this.#outstanding === 0) await this.#stamp();
      return report;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CLOSED')) this.refused({ operations: [] }, error);
      return undefined;
    }
  }

  #noteBatch({ batch, sessions }: PublishedBatch): void {
    this.acknowledged.push({ batch, operation: this.disk.operations.length });
    if (sessions === 0) this.#own.add(batch);
    this.#enterAccepted();
  }

  claim(id: GrainId): void {
    this.#claimed.add(id);
  }

  /** Waits for a commit and enters what it did; undefined where it rejected and may. */
  async settled(work: Work, commit: (work: Work) => Promise<number>): Promise<number | undefined> {
    while (this.#stamping !== undefined) await this.#stamping.catch(() => undefined);
    this.#outstanding += 1;
    const asked = this.ask(work);
    try {
      const batch = await commit(work)
        .then((durable) => this.accept(durable, work))
        .finally(() => {
          this.#outstanding -= 1;
          asked.until = this.disk.operations.length;
        });
      this.#acceptOwn();
      if (this.#outstanding === 0) await this.#stamp();
      return batch;
    } catch (error) {
      this.refused(work, error);
      return undefined;
    }
  }

  /** A commit is asked for; whoever asks says until when it waited. */
  ask(work: Work): Asked {
    return this.#answers.ask(work, this.disk.operations.length);
  }

  /**
   * The sessions that waited for an answer before that operation of the disk, or whose own sync has
   * failed, in order.
   */
  inFlightAt(operation: number): Work[] {
    return this.#answers
      .waitingAt(operation)
      .filter(({ waited, work }) => waited || this.uncertain.includes(work))
      .map(({ work }) => work);
  }

  /** Batches that nobody asked for: on a full disk maps that hold nothing are given back at once. */
  #acceptOwn(): void {
    if (this.#outstanding > 0 || this.#store === undefined) return;
    while (this.expected.current.batch < this.store.currentBatch) {
      this.expected.addOwn();
      const { batch } = this.expected.current;
      this.acknowledged.push({ batch, operation: this.disk.operations.length });
      this.#enterAccepted();
    }
  }

  accept(batch: number, work: Work): number {
    this.#answers.accept(batch, work);
    this.#enterAccepted();
    this.acknowledged.push({ batch, operation: this.disk.operations.length });
    return batch;
  }

  #enterAccepted(): void {
    for (;;) {
      const { batch } = this.expected.current;
      const told = this.#answers.next(batch);
      if (told === undefined && this.#own.delete(batch + 1)) {
        this.expected.addOwn();
        continue;
      }
      if (told === undefined) break;
      this.#release(told.work);
      this.expected.add(told.batch, told.work);
    }
  }

  /** Throws what is a defect, and `LifeOver` where nothing can follow. */
  refused(work: Work, error: unknown): void {
    this.#answers.refuse(work);
    this.#release(work);
    this.#enterAccepted();
    if (this.#isRefusal(error)) {
      this.#acceptOwn();
      this.rejected.push(this.disk.operations.length);
      return;
    }
    if (!this.tolerant || !isVarveError(error, 'VARVE_POISONED')) throw error;
    this.rejections.push(error.code);
    if (error.cause !== undefined && !isNothing(work)) this.uncertain.push(work);
    throw new LifeOver('poisoned', { cause: error });
  }

  pushRefused(error: unknown): void {
    if (this.#isRefusal(error)) return;
    if (!this.tolerant || !isVarveError(error, 'VARVE_POISONED')) throw error;
    throw new LifeOver('poisoned', { cause: error });
  }

  /** Nobody will commit it. */
  givenUp(work: Work): void {
    this.#release(work);
  }

  #release(work: Work): void {
    for (const { operation, id } of work.operations) {
      if (operation === 'archive') this.#claimed.delete(id);
    }
  }

  /**
   * After an opening: the sessions whose own sync failed are there, all of them, if the store has a
   * batch more than was acknowledged. With none of those it is one that gives empty maps back.
   */
  async decide(uncertain: readonly Work[]): Promise<void> {
    const batch = this.expected.current.batch + 1;
    if (uncertain.length === 0) return this.#acceptOwn();
    if (this.store.currentBatch !== batch) return;
    const known = new Set(uncertain.flatMap(({ operations }) => operations.map(({ id }) => id)));
    const unknown: GrainId[] = [];
    for await (const { changes } of this.store.commitLog({ after: batch - 1 })) {
      for (const { operation, id } of changes) {
        if (operation === 'allocate' && !known.has(id)) unknown.push(id);
      }
    }
    for (const work of uncertain) {
      const id = work.unknown === undefined ? undefined : unknown.shift();
      if (id !== undefined) {
        work.operations.push({ operation: 'allocate', id, bytes: work.unknown as Uint8Array });
      }
      this.accept(batch, work);
    }
    await this.#stamp();
  }

  /** The commit log is being read, which holds checkpoints back: commits wait. */
  get isStamping(): boolean {
    return this.#stamping !== undefined;
  }

  /** Notes of each new batch which attempt it was. Nothing is committed meanwhile. */
  async #stamp(): Promise<void> {
    // One reading at a time: each holds checkpoints back.
    while (this.#stamping !== undefined) await this.#stamping.catch(() => undefined);
    if (this.#outstanding > 0 || !this.isOpen) return;
    const { batch } = this.expected.current;
    if (batch <= this.#stamped || batch !== this.store.currentBatch) return;
    this.#stamping = this.#readStamps(batch).finally(() => {
      this.#stamping = undefined;
    });
    await this.#stamping;
  }

  async #readStamps(batch: number): Promise<void> {
    const after = Math.max(this.#stamped, this.store.checkpoint);
    this.#stamped = batch;
    const entries = this.store.commitLog({ after });
    try {
      for await (const entry of entries) this.expected.stamp(entry.batch, entry.committedAt);
    } catch (error) {
      // A session of the next batch, under way, checkpoints this one.
      if (!isVarveError(error, 'VARVE_LOG_TRUNCATED')) throw error;
    }
  }
}

function isNothing({ operations, unknown, ...rest }: Work): boolean {
  return operations.length === 0 && unknown === undefined && Object.keys(rest).length === 0;
}
