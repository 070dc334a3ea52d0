/**
 * `Store.compact`, `thinValues` and `trim`: their options and the check of these, and the steps of
 * a compaction carried out beside commits.
 *
 * Invariant: one compaction runs at a time, and no automatic one beside it.
 */

import { invalidArgument, ioError, VarveError } from '../../errors.ts';
import type { GrainId } from '../../format/grain-id.ts';
import {
  checkOperation,
  type LongOperation,
  longOperationNames,
} from '../../util/operations/long-operation.ts';
import type { Operations } from '../../util/operations/operations.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { checkNames } from '../../util/options.ts';
import type { Committer } from '../commit/committer.ts';
import type { OpenRequest } from '../open/open-request.ts';
import type { StoreCore } from '../state/core.ts';
import { AutomaticCompaction } from './automatic.ts';
import { Compaction, type CompactionStep } from './compaction.ts';
import { type HeldSpace, heldSpace, thinFill } from './held-space.ts';
import { type ThinValuesOptions, thinValues } from './thin-values.ts';
import { type TrimReport, trimFree } from './trim.ts';

/** Bytes of one read and one write. */
const kibibyte = 1024;
const pieceBounds = { min: 64 * kibibyte, max: (kibibyte * kibibyte) / 2 };

/** Maps that are moved out of the way of others, at most. */
const roomsMax = 8;

/** The result of a compaction, and why the file is not shorter. */
export interface CompactReport extends HeldSpace {
  readonly fileBytesBefore: number;
  readonly fileBytesAfter: number;
  /** Bytes of values and of the log that were copied. */
  readonly movedBytes: number;
  /** Batches of its own. */
  readonly batches: number;
}

export class Compactor {
  readonly #operations: Operations;
  readonly #core: StoreCore;
  readonly #committer: Committer;
  readonly #automatic: AutomaticCompaction | undefined;
  #isRunning = false;

  constructor(
    operations: Operations,
    core: StoreCore,
    committer: Committer,
    { compactsFrom }: Pick<OpenRequest, 'compactsFrom'>,
  ) {
    this.#operations = operations;
    this.#core = core;
    this.#committer = committer;
    if (compactsFrom === undefined || core.readOnly) return;
    this.#automatic = new AutomaticCompaction(core, compactsFrom, (movedBytes) => {
      this.#report(movedBytes);
    });
    committer.takeAlong(this.#automatic);
  }

  /** The store closes: nothing is copied any more. */
  close(): void {
    this.#automatic?.pause();
  }

  /** Rejects as `Store.compact`. */
  async compact(options: LongOperation): Promise<CompactReport> {
    const core = this.#core;
    checkNames('Store.compact', options, longOperationNames);
    const checked = checkOperation(options);
    core.checkWritable();
    if (this.#isRunning) {
      const { path } = core;
      throw new VarveError('VARVE_BUSY', `a compaction of '${path}' is running`, { path });
    }
    this.#isRunning = true;
    const goOn = this.#automatic?.pause();
    try {
      return await this.#operations.run(checked, (operation) => this.#run(operation));
    } finally {
      for (const stratum of core.atlas.strata()) stratum.moves.openClosed();
      this.#isRunning = false;
      goOn?.();
    }
  }

  /** As `Store.thinValues`. */
  thinValues(options: ThinValuesOptions): AsyncIterable<GrainId> {
    checkNames('Store.thinValues', options, { fill: true, gradual: true });
    const { fill = thinFill, gradual = false } = options;
    if (typeof fill !== 'number' || !(fill >= 0 && fill <= 1)) {
      throw invalidArgument('fill', 'a number from 0 to 1', fill);
    }
    if (typeof gradual !== 'boolean') throw invalidArgument('gradual', 'a boolean', gradual);
    this.#core.checkWritable();
    return thinValues(this.#core, fill, gradual);
  }

  /** Rejects as `Store.trim`. */
  async trim(options: LongOperation): Promise<TrimReport> {
    const core = this.#core;
    checkNames('Store.trim', options, longOperationNames);
    const checked = checkOperation(options);
    core.checkWritable();
    return await this.#operations.run(checked, (operation) => trimFree(core, operation));
  }

  async #run(operation: RunningOperation): Promise<CompactReport> {
    const { reader } = this.#core;
    const fileBytesBefore = reader.length();
    const done = { movedBytes: 0, batches: 0 };
    const report = (): void => {
      const { movedBytes } = done;
      operation.report({ phase: 'moving', done: movedBytes, total: undefined, unit: 'bytes' });
    };
    report();
    const compaction = new Compaction(this.#core, operation.pieceBytes(pieceBounds), roomsMax);
    const steps = compaction.steps();
    let step = steps.next(true);
    while (step.done !== true) {
      try {
        const since = performance.now();
        const answer = await this.#perform(step.value, operation, done);
        if (step.value.do === 'sync') compaction.syncTook(performance.now() - since);
        report();
        await operation.breathe();
        step = steps.next(answer);
      } catch (error) {
        step = steps.throw(error);
      }
    }
    const held = await heldSpace(this.#core, operation);
    const fileBytesAfter = reader.length();
    this.#report(done.movedBytes);
    return { fileBytesBefore, fileBytesAfter, ...done, ...held };
  }

  #report(movedBytes: number): void {
    this.#committer.watch.compacted(movedBytes, () => this.#core.reader.length());
  }

  async #perform(
    step: CompactionStep,
    operation: RunningOperation,
    done: { movedBytes: number; batches: number },
  ): Promise<boolean> {
    const { path, writer } = this.#core;
    if (step.do === 'write') {
      const { offset, bytes } = step.piece;
      await operation.spend(2 * bytes.length);
      try {
        await writer.perform(writer.write({ offset, chunks: [bytes] }));
      } catch (error) {
        throw ioError('compacting', path, error);
      }
      done.movedBytes += bytes.length;
    } else if (step.do === 'sync') await this.#committer.syncCopies();
    else if (step.do === 'batch') {
      done.batches += 1;
      return await this.#committer.commitOwn(step.batch);
    }
    return true;
  }
}
