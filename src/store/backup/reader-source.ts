/**
 * The source of a copy of a store that was opened read-only, perhaps beside a writer that moves on.
 *
 * Invariant: values that were live and not archived as of the batch are freed only by a checkpoint
 * after it. Therefore what was read is of the batch if the log, followed to its end after the read,
 * has the writer's checkpoint at or before the batch, and has not taken back a record that was
 * followed. Otherwise the copy ends with `VARVE_SNAPSHOT_GONE`. The log says what later batches
 * have changed; its retained part has what they changed before the backup began.
 */

import { isVarveError } from '../../errors.ts';
import type { LogRecord } from '../../format/log-record.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { LogReader } from '../log/log-reader.ts';
import type { LoadedStore } from '../open/loading.ts';
import type { ProvenReads } from '../readers/proven-reads.ts';
import type { StoreReader } from '../readers/store-reader.ts';
import type { StoreCore } from '../state/core.ts';
import { type BackupSource, type SourceState, stateOf } from './backup-source.ts';
import { ChangesSince } from './changes-since.ts';

export class ReaderSource implements BackupSource {
  readonly changes = new ChangesSince();
  readonly isReady = true;
  readonly pagesAhead = 64;
  readonly #reader: StoreReader;
  /** Keeps the state alive: the reader closes only states that still exist. */
  readonly #state: ProvenReads;
  readonly #stop: () => void;
  /** The last batch whose changes are known. */
  #known: number;
  /** Batches are missing between the known ones. */
  #hasGap = false;

  constructor(reader: StoreReader) {
    this.#reader = reader;
    this.#state = reader.current;
    this.#known = reader.tail.newest;
    this.#stop = reader.tail.observe((record) => this.#followed(record));
  }

  get core(): StoreCore {
    return this.#state.core;
  }

  #followed(record: LogRecord): void {
    // A batch that was taken back, and made again, comes again.
    if (record.batch > this.#known + 1) this.#hasGap = true;
    this.#known = record.batch;
    for (const one of record.operations) this.#note(one);
  }

  #note(one: LogRecord['operations'][number]): void {
    if (one.operation === 'allocate' || one.operation === 'archive') {
      this.changes.note(one.operation, one);
    } else if (one.operation === 'drop-map') {
      this.changes.noteDrop(one.basin, one.stratum, one.firstIndex);
    }
  }

  async begin(operation: RunningOperation): Promise<SourceState> {
    const known = this.#known;
    const { batch } = this.#state;
    if (known > batch) await this.#readRetained(known, operation);
    await this.#follow();
    return stateOf(this.core);
  }

  /** Notes the changes after the batch up to `last`, which were followed before. */
  async #readRetained(last: number, operation: RunningOperation): Promise<void> {
    const { batch } = this.#state;
    const { opened }: LoadedStore = await this.#reader.loadNewest();
    operation.check();
    if (opened.published.checkpoint > batch) throw this.#state.gone();
    const log = new LogReader(opened.reader, opened.log);
    try {
      for (let next = batch + 1; next <= last; next++) {
        for (const _ of this.#noteRecord(log, next)) await operation.breathe();
      }
    } catch (error) {
      // The writer may have freed the log meanwhile.
      throw await this.explained(error, 'marks');
    }
  }

  *#noteRecord(log: LogReader, batch: number): Steps<void> {
    const { record } = yield* log.readInSteps(batch);
    for (const [at, one] of record.operations.entries()) {
      if (at % stepsPerPause === 0) yield pause;
      this.#note(one);
    }
  }

  confirm(): Promise<void> {
    return this.#follow();
  }

  async #follow(): Promise<void> {
    const { tail } = this.#reader;
    const reached = await tail.followAsync();
    this.#state.checkOpen();
    const isKnown = reached && !this.#hasGap && tail.newest <= this.#known;
    const isHeld = tail.checkpoint <= this.#state.batch;
    if (!isKnown || !isHeld || this.#state.isLost) throw this.#state.gone();
  }

  /** Marks are replaced by the writer's settles; the bytes of a value that it holds are not. */
  async explained(error: unknown, what: 'marks' | 'value'): Promise<unknown> {
    if (!isVarveError(error, 'VARVE_CORRUPT')) return error;
    await this.#follow();
    // A value whose map has moved is read again where it is.
    this.#state.followMoves();
    const isReplaced = what === 'marks' && (await this.#state.hasMovedOn());
    return isReplaced ? this.#state.gone() : error;
  }

  async prove(): Promise<void> {
    await this.#follow();
  }

  marksRead(): void {}

  end(): void {
    this.#stop();
  }
}
