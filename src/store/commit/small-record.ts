/**
 * The record of a small commit: of one session, with some values that the record carries, and with
 * nothing else to do. Nearly every commit is of this kind.
 *
 * Invariant: it is the record, at the place, that `planBatch` and `CommitLog.place` would give; a
 * batch for which it gives none takes the general way. It decides and encodes, in memory that it uses
 * again; it changes nothing, and `DurableWriter` writes and publishes it.
 */

import { sectorBytes, valuePrefixBytes } from '../../format/layout.ts';
import { LogRecordWriter } from '../../format/log-record.ts';
import { encodeOneSector, oneSectorBodyMax } from '../../format/log-sector.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { Published } from '../settle/settle.ts';
import type { StoreCore } from '../state/core.ts';
import { type BatchPlan, nothingAdded } from './commit-plan.ts';
import type { SessionWork } from './session-work.ts';
import { isBacked } from './value-writer.ts';

const operationsMax = 16;
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

  /** The record of `work` alone; undefined if the batch must take the general way. */
  of(work: SessionWork): SmallRecord | undefined {
    const core = this.#core;
    const { log, published, space } = core;
    const { operations } = work;
    const count = operations.length;
    if (space.tight || core.atlas.vacated.size > 0 || core.poisoned) return undefined;
    if (work.checkpointTo !== undefined || work.writeError !== undefined) return undefined;
    if (count > operationsMax || work.stagedBytes !== work.pushedBytes) return undefined;
    if (work.pushedBytes > core.carriedBytes || !this.#headerIsOwn(work)) return undefined;
    if (!core.housekeeping.quiet) return undefined;
    const batch = published.currentBatch + 1;
    const target = log.placeOfOneSector(batch);
    if (target === undefined) return undefined;
    const after = this.#after(work, batch);
    const body = this.#encode(work, after);
    if (body === undefined) return undefined;
    const { sector } = target;
    const place = { epoch: core.headers.content.epoch, batch, sector };
    encodeOneSector(this.#bytes, body, place, core.reader.salt);
    const plan = {
      after,
      works: [work],
      freed: nothingFreed,
      added: nothingAdded,
      dropped: nothingDropped,
      body,
      entries: count,
      carries: true,
    };
    return { plan, target, bytes: this.#bytes };
  }

  /** An embedded header that is not of this session may have been freed. */
  #headerIsOwn({ embeddedHeader, operations }: SessionWork): boolean {
    if (typeof embeddedHeader !== 'bigint') return true;
    for (let at = operations.length - 1; at >= 0; at--) {
      const one = operations[at];
      if (one?.operation === 'allocate' && one.id === embeddedHeader) return true;
    }
    return false;
  }

  #after({ embeddedHeader }: SessionWork, currentBatch: number): Published {
    const { checkpoint, embeddedHeader: before } = this.#core.published;
    const header = embeddedHeader === undefined ? before : (embeddedHeader ?? 0n);
    return { currentBatch, checkpoint, embeddedHeader: header };
  }

  #encode({ operations }: SessionWork, after: Published): Uint8Array | undefined {
    const { log, space } = this.#core;
    const preamble = {
      batch: after.currentBatch,
      committedAt: Math.max(0, Math.floor(Date.now())),
      embeddedHeader: after.embeddedHeader,
      checkpoint: after.checkpoint,
      retainedLogBytes: log.retainedBytes,
    };
    if (this.#writer === undefined) this.#writer = new LogRecordWriter(preamble, sectorBytes);
    else this.#writer.restart(preamble);
    const writer = this.#writer;
    for (const value of operations) {
      if (value.operation === 'archive') writer.archive(value);
      else {
        const map = value.home.mapOf(value.index);
        if (value.bytes === undefined || !map.durable) return undefined;
        if (!isBacked(space, map, value)) return undefined;
        writer.carry(value, value.bytes, valuePrefixBytes);
      }
      if (writer.length > oneSectorBodyMax) return undefined;
    }
    return writer.finish();
  }
}
