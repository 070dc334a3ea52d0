/**
 * The record of a small commit, as nearly every commit is: one session, a few operations, values
 * that the record carries. Its checkpoint, if any, passes batches whose archives are in memory. It
 * adds no structure, and no settle begins with it.
 *
 * Invariant: it is the record, at the place, that `planBatch` and `CommitLog.place` would give. A
 * batch for which it gives none takes the general way. It decides, and encodes in memory that it
 * uses again. It changes nothing: `DurableWriter` writes and publishes the record.
 */

import { sectorBytes, valuePrefixBytes } from '../../format/layout.ts';
import { LogRecordWriter } from '../../format/log-record.ts';
import { encodeOneSector, oneSectorBodyMax } from '../../format/log-sector.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { Published } from '../settle/settle.ts';
import type { StoreCore } from '../state/core.ts';
import { checkpointOf, freedFromMemory } from './checkpoint.ts';
import { type BatchPlan, nothingAdded, preambleOf, publishedAfter } from './commit-plan.ts';
import type { SessionWork } from './session-work.ts';
import { isBacked } from './value-writer.ts';

/** Values that the session pushes and archives, at most. */
const operationsMax = 16;
/** Values that its checkpoint frees, and batches that this passes, at most. */
const freedMax = 64;
const nothingFreed: BatchPlan['freed'] = new Map();
const nothingDropped: BatchPlan['dropped'] = [];

/** A record that is encoded, and what it does. */
export interface SmallRecord {
  readonly plan: BatchPlan;
  readonly target: RecordTarget;
  /** The sector; valid until the next record is encoded. */
  readonly bytes: Uint8Array;
}

export class SmallRecords {
  readonly #core: StoreCore;
  readonly #bytes = new Uint8Array(sectorBytes);
  #writer: LogRecordWriter | undefined;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /**
   * The record of `work` alone; undefined if the batch must take the general way. Throws as
   * `freedFromMemory`.
   */
  of(work: SessionWork): SmallRecord | undefined {
    const core = this.#core;
    const { log, published, space } = core;
    const { operations } = work;
    const count = operations.length;
    if (space.tight || core.atlas.vacated.size > 0) return undefined;
    if (work.writeError !== undefined) return undefined;
    if (count > operationsMax || work.stagedBytes !== work.pushedBytes) return undefined;
    if (work.pushedBytes > core.carriedBytes || !this.#headerIsOwn(work)) return undefined;
    if (core.housekeeping.settleDue) return undefined;
    const batch = published.currentBatch + 1;
    const target = log.placeOfOneSector(batch);
    if (target === undefined) return undefined;
    const checkpoint = Math.max(published.checkpoint, checkpointOf(core, work));
    const freed = this.#freed(work, checkpoint);
    if (freed === undefined) return undefined;
    const works = [work];
    const after = publishedAfter(published, works, checkpoint);
    const body = this.#encode(work, after, freed);
    if (body === undefined) return undefined;
    const { sector } = target;
    const place = { epoch: core.headers.content.epoch, batch, sector };
    encodeOneSector(this.#bytes, body, place, core.reader.salt);
    const plan = {
      after,
      works,
      freed,
      added: nothingAdded,
      dropped: nothingDropped,
      body,
      entries: count + (freed.get(work)?.values.length ?? 0),
      carries: true,
    };
    return { plan, target, bytes: this.#bytes };
  }

  /** False if the embedded header is an earlier value: that may have been freed. */
  #headerIsOwn({ embeddedHeader, operations }: SessionWork): boolean {
    if (typeof embeddedHeader !== 'bigint') return true;
    for (let at = operations.length - 1; at >= 0; at--) {
      const one = operations[at];
      if (one?.operation === 'allocate' && one.id === embeddedHeader) return true;
    }
    return false;
  }

  /**
   * Values that the checkpoint of the session frees; undefined if the log must be read, or if the
   * session has nothing to do.
   */
  #freed(work: SessionWork, checkpoint: number): BatchPlan['freed'] | undefined {
    const { checkpoint: reached } = this.#core.published;
    if (checkpoint === reached) return work.onlyCheckpoints ? undefined : nothingFreed;
    const freed = freedFromMemory(this.#core, reached, checkpoint, freedMax);
    return freed && new Map([[work, freed]]);
  }

  #encode(work: SessionWork, after: Published, freed: BatchPlan['freed']): Uint8Array | undefined {
    const { values: freedValues = [], logBytes = 0 } = freed.get(work) ?? {};
    const retainedLogBytes = this.#core.log.retainedWithout(logBytes);
    const preamble = preambleOf(after, Date.now(), retainedLogBytes);
    if (this.#writer === undefined) this.#writer = new LogRecordWriter(preamble, sectorBytes);
    else this.#writer.restart(preamble);
    const writer = this.#writer;
    for (const value of work.operations) {
      if (value.operation === 'archive') writer.archive(value);
      else {
        const map = value.home.mapOf(value.index);
        if (value.bytes === undefined || !map.durable) return undefined;
        if (!isBacked(this.#core, map, value)) return undefined;
        writer.carry(value, value.bytes, valuePrefixBytes);
      }
      if (writer.length > oneSectorBodyMax) return undefined;
    }
    for (const run of freedValues) writer.free(run);
    if (writer.length > oneSectorBodyMax) return undefined;
    return writer.finish();
  }
}
