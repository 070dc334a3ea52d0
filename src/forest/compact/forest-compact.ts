/**
 * `Forest.compact`: packs leaves, stores the nodes and long values that lie in thin grain maps
 * anew, and compacts the store.
 *
 * Invariants:
 * - One compaction of a forest runs at a time. It changes trees by transactions only, among those
 *   of users.
 * - A compaction that stops, for any reason, leaves the forest as its transactions did, and opens
 *   thin maps to new values again.
 */

import { VarveError } from '../../errors.ts';
import type { CompactReport, GrainId, LongOperation, Store } from '../../index.ts';
import { onAbort } from '../../util/abort-listeners.ts';
import { checkOperation, longOperationNames } from '../../util/operations/long-operation.ts';
import type { Operations } from '../../util/operations/operations.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { checkNames, type NamesOf } from '../../util/options.ts';
import type { DurableState } from '../commits/durable-state.ts';
import type { ForestWriter } from '../commits/forest-writer.ts';
import type { Freeing } from '../commits/freeing.ts';
import { CompactWalk } from './compact-walk.ts';
import { checkMovePushed, type MovePushed, PushedMoves } from './pushed-moves.ts';
import type { RewritePlan } from './tree-rewriter.ts';
import { Twins } from './twins.ts';

export interface ForestCompactOptions extends LongOperation {
  /**
   * Called in a transaction for each value of `Transaction.push` that lies in a thin map, with a
   * copy of it: names `to` wherever trees name `from` and returns true. The transaction has
   * archived `from` before the call. If it returns false, nothing of the transaction happens and
   * the value keeps its id. Without it pushed values keep theirs. Without a vault it is also asked
   * about values that others have stored in `Forest.store`.
   */
  movePushed?: MovePushed | undefined;
}

const names: NamesOf<ForestCompactOptions> = { ...longOperationNames, movePushed: true };

/** A map is rewritten if values take at most this part of it. */
const thinFill = 0.85;
/** Bytes that one transaction stores anew, about. */
const bytesMax = 2 ** 20;
/** Values that one walk moves: as many as a quarter of the nodes that it comes to. */
const portionShare = 1 / 4;
const portionMin = 2 ** 12;
const portionMax = 2 ** 17;

/** The store is compacted again, this often at most, while its log takes much of the file. */
const againMax = 4;
const logShareMax = 1 / 16;

function isLogLong({ heldByLogBytes, fileBytesAfter }: CompactReport): boolean {
  return heldByLogBytes > fileBytesAfter * logShareMax;
}

/** The forest as a compaction uses it. */
export interface CompactedForest {
  readonly store: Store;
  readonly state: DurableState;
  /** Throws if the forest takes no transactions. */
  checkWritable(): void;
}

export class ForestCompactor {
  readonly #forest: CompactedForest;
  readonly #writer: ForestWriter;
  readonly #freeing: Freeing;
  readonly #operations: Operations;
  /** Aborts the compaction of the store. */
  #running: AbortController | undefined;

  constructor(
    forest: CompactedForest,
    writer: ForestWriter,
    freeing: Freeing,
    operations: Operations,
  ) {
    this.#forest = forest;
    this.#operations = operations;
    this.#writer = writer;
    this.#freeing = freeing;
  }

  /** Rejects as `Forest.compact`. */
  async compact(options: ForestCompactOptions): Promise<CompactReport> {
    checkNames('Forest.compact', options, names);
    const checked = checkOperation(options);
    const movePushed = checkMovePushed(options.movePushed);
    this.#forest.checkWritable();
    const { path } = this.#forest.store;
    if (this.#running !== undefined) {
      throw new VarveError('VARVE_BUSY', `a compaction of '${path}' is running`, { path });
    }
    const controller = new AbortController();
    this.#running = controller;
    const { signal, bytesPerSecond } = checked;
    const forget = signal && onAbort(signal, () => controller.abort(signal.reason));
    const { losses } = this.#forest.state.context;
    const twins = new Twins();
    const endListening = losses.listen((id) => twins.lost(id));
    try {
      return await this.#operations.run(checked, (operation) => {
        const parts = { forest: this.#forest, writer: this.#writer, freeing: this.#freeing, twins };
        const store = { signal: controller.signal, bytesPerSecond };
        return new ForestCompaction(parts, operation).run(store, movePushed);
      });
    } finally {
      endListening();
      forget?.();
      this.#running = undefined;
    }
  }

  /** The operations are being stopped with this error: a compaction of the store stops too. */
  stop(error: Error): void {
    this.#running?.abort(error);
  }
}

interface Parts {
  readonly forest: CompactedForest;
  readonly writer: ForestWriter;
  readonly freeing: Freeing;
  readonly twins: Twins;
}

/** One compaction. */
class ForestCompaction {
  readonly #parts: Parts;
  readonly #operation: RunningOperation;
  #movedBytes = 0;
  #batches = 0;
  /** Stored nodes and values that the last walk came to. */
  #walked = 0;

  constructor(parts: Parts, operation: RunningOperation) {
    this.#parts = parts;
    this.#operation = operation;
  }

  async run(
    ofStore: { readonly signal: AbortSignal; readonly bytesPerSecond: number },
    movePushed: MovePushed | undefined,
  ): Promise<CompactReport> {
    const { store } = this.#parts.forest;
    const { fileBytes: fileBytesBefore } = store.statistics();
    this.#report('packing leaves');
    const onProgress: LongOperation['onProgress'] = (progress) => this.#operation.report(progress);
    try {
      await this.#rewrite();
      if (movePushed !== undefined) await this.#movePushed(movePushed);
      await this.#free();
    } catch (error) {
      // An aborted compaction opens the thin maps to new values.
      await store.compact({ signal: AbortSignal.abort(error) }).catch(() => undefined);
      throw error;
    }
    let report = await this.#compactStore({ ...ofStore, onProgress });
    // The batches of a compaction are in the log until a checkpoint passes them.
    for (let again = 0; again < againMax && isLogLong(report); again++) {
      const { fileBytesAfter: before } = report;
      await this.#parts.freeing.forgetAll();
      report = await this.#compactStore({ ...ofStore, onProgress });
      if (report.fileBytesAfter >= before) break;
    }
    return {
      ...report,
      fileBytesBefore,
      movedBytes: this.#movedBytes,
      batches: this.#batches,
    };
  }

  async #compactStore(options: LongOperation): Promise<CompactReport> {
    const report = await this.#parts.forest.store.compact(options);
    this.#movedBytes += report.movedBytes;
    this.#batches += report.batches;
    return report;
  }

  #report(phase: string): void {
    this.#operation.report({ phase, done: this.#movedBytes, total: undefined, unit: 'bytes' });
  }

  async #rewrite(): Promise<void> {
    await this.#writeAll();
    await this.#walk('packing leaves', true, new Set());
    await this.#free();
    const thin = this.#parts.forest.store.thinValues({ fill: thinFill, gradual: true });
    for await (const portion of portionsOf(thin, () => this.#portion)) {
      await this.#walk('moving nodes', false, portion);
      await this.#free();
    }
  }

  get #portion(): number {
    const share = Math.floor(this.#walked * portionShare);
    return Math.min(Math.max(share, portionMin), portionMax);
  }

  /** Writes all nodes, so that what they replace can be freed. */
  async #writeAll(): Promise<void> {
    await this.#parts.writer.runAtOnce((tx) => {
      tx.needsNodes = true;
    });
    this.#batches += 1;
  }

  /** Frees what the rewritten nodes have replaced. */
  async #free(): Promise<void> {
    this.#operation.check();
    await this.#parts.freeing.freeAll();
  }

  async #walk(phase: string, packs: boolean, thin: ReadonlySet<GrainId>): Promise<void> {
    const { forest, writer, twins } = this.#parts;
    let bytes = 0;
    let isTurnDue = false;
    this.#walked = 0;
    const plan: RewritePlan = {
      packs,
      packsShared: packs,
      isThin: (id) => {
        this.#walked += 1;
        return thin.has(id);
      },
      isDue: () => {
        isTurnDue ||= this.#operation.isTurnDue;
        return isTurnDue || bytes >= bytesMax;
      },
      rewrote: (length) => {
        bytes += length;
      },
    };
    const walk = new CompactWalk(forest.state, plan, twins);
    twins.clear();
    while (!walk.isDone) {
      bytes = 0;
      await writer.runAtOnce((tx) => walk.step(tx));
      walk.throwFailure();
      if (bytes > 0) this.#batches += 1;
      this.#movedBytes += bytes;
      this.#report(phase);
      await this.#operation.spend(2 * bytes);
      // Asked again, it might say that no turn is due.
      if (isTurnDue) await this.#operation.turn();
      else await this.#operation.breathe();
      isTurnDue = false;
    }
    twins.clear();
  }

  async #movePushed(movePushed: MovePushed): Promise<void> {
    const { forest, writer } = this.#parts;
    const moves = new PushedMoves(forest, writer, this.#operation, movePushed);
    // Not gradual: from here on no node is stored in these maps.
    const thin = forest.store.thinValues({ fill: thinFill });
    for await (const portion of portionsOf(thin, () => portionMax)) {
      // A program may compact the store meanwhile, which opens the maps: no id of a value that is
      // freed must become one of a node.
      const guard = forest.store.guard();
      try {
        await moves.withoutArchived(portion);
        // Without a journal the forest's own values are those that the trees reach.
        do await this.#writeAll();
        while (!forest.state.journal.isEmpty);
        const { bytes, batches } = await moves.move(portion);
        this.#movedBytes += bytes;
        this.#batches += batches;
      } finally {
        guard.release();
      }
      this.#report('moving pushed values');
    }
  }
}

/** Sets of as many ids as `countMax` says at the time. */
async function* portionsOf(
  ids: AsyncIterable<GrainId>,
  countMax: () => number,
): AsyncGenerator<Set<GrainId>> {
  let portion = new Set<GrainId>();
  for await (const id of ids) {
    portion.add(id);
    if (portion.size < countMax()) continue;
    yield portion;
    portion = new Set();
  }
  if (portion.size > 0) yield portion;
}
