/**
 * The operations of one session, apart from the `Session` that the user holds: a session that is
 * garbage-collected can be abandoned.
 *
 * Invariants:
 * - The grains of each staged value are reserved in the Atlas until the work is published or given
 *   up.
 * - When 1 MiB is staged, the bytes are written ahead to their grains, and their memory is reused.
 * - It is open, then committing, then ended; if it is given up, it may end without committing.
 * - It is not committed while a push is in flight. A push owns its grains until it adds its value.
 *
 * It asks for no sync and publishes nothing.
 */

import { ioError } from '../../errors.ts';
import { type GrainId, joinGrainId } from '../../format/grain-id.ts';
import type { GrainRun } from '../../format/log-record.ts';
import { encodeValue, valueCrc } from '../../format/value.ts';
import { assert } from '../../util/assert.ts';
import { type FileWrite, inOneGo, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { Reservation } from '../grains/atlas.ts';
import type { Stratum } from '../grains/stratum.ts';
import { MergedWrites } from '../values/merged-writes.ts';
import { type StagedBatch, type StagedBytes, StagedValues } from '../values/staged-values.ts';
import { StagingMemory } from '../values/staging-memory.ts';

/** A value pushed by this session. */
export interface StagedValue extends StagedBytes {
  readonly operation: 'allocate';
  readonly id: GrainId;
  readonly crc: number;
}

/** A committed value that this session archives. */
export interface ClaimedValue extends GrainRun {
  readonly operation: 'archive';
  readonly home: Stratum;
}

/** A push that has not settled. */
export interface PushInFlight {
  /** The session has ended: the push gives its grains back and rejects. */
  end(): void;
}

export class SessionWork {
  #operations: (StagedValue | ClaimedValue)[] = [];
  /** Withdrawn values that are still in `#operations`. */
  #withdrawn = 0;
  /** The checkpoint to make with the commit. */
  checkpointTo: number | undefined;
  /** The embedded header to set with the commit; null clears it. */
  embeddedHeader: bigint | null | undefined;
  /** The embedded header will be set before the commit (`Store.updateEmbeddedHeader`). */
  replacesHeader = false;
  /** The first error of a write ahead; `commit` rejects with it. */
  writeError: Error | undefined;
  /** The stratum of the last value: the next one is placed there if it fits. */
  preferred: Stratum | undefined;
  #state: 'open' | 'committing' | 'ended' = 'open';
  #failure: unknown;
  #closedWithStore = false;
  /** Bytes of the grains of every value pushed, in memory or in the file. */
  #pushedBytes = 0;
  readonly #staged: StagedValues<StagedValue>;
  /** Pushes that have not settled; made with the first. */
  #pushes: Set<PushInFlight> | undefined;
  #byId: Map<bigint, StagedValue> | undefined;

  constructor(memory: StagingMemory = new StagingMemory()) {
    this.#staged = new StagedValues(memory);
  }

  /** Its user can change it. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** The commit will reject with this error, after all its grains are given back. */
  get failure(): unknown {
    return this.#failure;
  }

  /** It was open when the store was closed. */
  get closedWithStore(): boolean {
    return this.#closedWithStore;
  }

  /** A push is in flight: the session cannot be committed. */
  get isPushing(): boolean {
    return this.#pushes !== undefined && this.#pushes.size > 0;
  }

  /** Bytes in memory, without those that are being written. */
  get stagedBytes(): number {
    return this.#staged.bytes;
  }

  get pushedBytes(): number {
    return this.#pushedBytes;
  }

  /** Pushed and archived values, in order, without those withdrawn. */
  get operations(): readonly (StagedValue | ClaimedValue)[] {
    if (this.#withdrawn > 0) this.#leaveOut();
    return this.#operations;
  }

  get #isIdle(): boolean {
    return this.#operations.length === this.#withdrawn;
  }

  get isEmpty(): boolean {
    return this.checkpointTo === undefined && this.embeddedHeader === undefined && this.#isIdle;
  }

  /** It has no values and no embedded header: at most a checkpoint. */
  get onlyCheckpoints(): boolean {
    return this.embeddedHeader === undefined && this.#isIdle;
  }

  /** A value pushed by this session and not withdrawn. */
  own(id: bigint): StagedValue | undefined {
    const last = this.#operations.at(-1);
    if (last?.operation === 'allocate' && last.id === id && !last.withdrawn) return last;
    if (this.#byId === undefined) {
      this.#byId = new Map();
      for (const value of this.operations) {
        if (value.operation === 'allocate' && !value.withdrawn) this.#byId.set(value.id, value);
      }
    }
    return this.#byId.get(id);
  }

  /** Copies the value's bytes into the memory that sessions share. */
  stage(place: Reservation, data: Uint8Array): StagedValue {
    const { stratum, index, count } = place;
    const { length } = data;
    const crc = valueCrc({ basin: stratum.basin, stratum: stratum.number, index }, data);
    const bytes = this.#staged.take(count * stratum.grainBytes);
    encodeValue(bytes, data, crc);
    const value = this.add(place, length, crc, bytes);
    this.#staged.add(value);
    return value;
  }

  /** Adds a value. Without `bytes` they are already in its grains. */
  add(
    { stratum: home, index, count }: Reservation,
    length: number,
    crc: number,
    bytes?: Uint8Array,
  ): StagedValue {
    const { basin, number: stratum } = home;
    const id = joinGrainId(basin, stratum, index);
    // Field by field: this runs for each pushed value.
    const value: StagedValue = {
      operation: 'allocate',
      basin,
      stratum,
      index,
      count,
      length,
      id,
      home,
      crc,
      bytes,
      withdrawn: false,
    };
    this.#operations.push(value);
    this.#byId?.set(id, value);
    this.#pushedBytes += count * home.grainBytes;
    this.preferred = home;
    return value;
  }

  claim(home: Stratum, index: number, count: number, length: number): void {
    const { basin, number: stratum } = home;
    // Field by field: this runs for each archived value.
    this.#operations.push({ operation: 'archive', basin, stratum, index, count, length, home });
    home.claim(index);
    this.preferred ??= home;
  }

  /** Takes back a value that this session pushed: its grains are free again. */
  withdraw(value: StagedValue): void {
    this.#byId?.delete(value.id);
    this.#pushedBytes -= value.count * value.home.grainBytes;
    this.#staged.withdraw(value);
    this.#withdrawn += 1;
    // Do not search the lists: filter them once half of the operations are withdrawn.
    if (this.#withdrawn * 2 > this.#operations.length) this.#leaveOut();
  }

  /** Removes withdrawn values from the lists. */
  #leaveOut(): void {
    this.#operations = this.#operations.filter(isAsked);
    this.#staged.leaveOut();
    this.#withdrawn = 0;
  }

  /** The writes of all values still in memory, adjoining ones merged. */
  pendingWrites(): FileWrite[] {
    const merged = new MergedWrites();
    for (const value of this.#staged.values) merged.add(value);
    return merged.writes();
  }

  /**
   * Releases the memory of all staged values: they are in the file, or their write failed and
   * `commit` rejects. Requires: no write of them is in flight.
   */
  forgetBytes(): void {
    this.#staged.forget();
  }

  /** Takes all staged values, to be written without blocking; `endWriteAhead` ends that. */
  beginWriteAhead(): StagedBatch<StagedValue> {
    return this.#staged.beginBatch();
  }

  endWriteAhead(batch: StagedBatch<StagedValue>): void {
    this.#staged.endBatch(batch);
  }

  /** Until `pushEnded` it cannot be committed; its end ends the push. */
  pushBegins(push: PushInFlight): void {
    assert(this.#state === 'open', 'an open session pushes');
    this.#pushes ??= new Set();
    this.#pushes.add(push);
  }

  pushEnded(push: PushInFlight): void {
    this.#pushes?.delete(push);
  }

  /** Keeps the first error of a write ahead. */
  failed(path: string, error: unknown): void {
    this.writeError ??= ioError('writing a value ahead of the commit', path, error);
  }

  // ── its states ──

  /** From open to committing: from now on only the Committer changes it. */
  beginCommit(): void {
    assert(this.#state === 'open', 'an open session commits');
    this.#state = 'committing';
  }

  /** From committing to ended: the work is durable. */
  done(): void {
    assert(this.#state === 'committing', 'a session that commits becomes durable');
    this.#state = 'ended';
    this.forgetBytes();
  }

  /** From committing to ended: the store is poisoned. Its grains stay reserved. */
  poisoned(): void {
    assert(this.#state === 'committing', 'a session that commits meets a poisoned store');
    this.#state = 'ended';
  }

  /**
   * Takes over all work of another open session, as if it were done now: the other ends, and gives
   * nothing back. Requires: no push of the other session is in flight.
   */
  adopt(other: SessionWork): void {
    assert(this.#state === 'open' && other.#state === 'open', 'work moves between open sessions');
    assert(!other.isPushing, 'a session is adopted without pushes in flight');
    for (const operation of other.operations) this.#operations.push(operation);
    this.#staged.adopt(other.#staged);
    this.#pushedBytes += other.#pushedBytes;
    this.#byId = undefined;
    this.writeError ??= other.writeError;
    this.preferred ??= other.preferred;
    if (other.embeddedHeader !== undefined) this.embeddedHeader = other.embeddedHeader;
    if (other.checkpointTo !== undefined) {
      this.checkpointTo = Math.max(this.checkpointTo ?? 0, other.checkpointTo);
    }
    other.#state = 'ended';
    other.#operations = [];
    other.#byId = undefined;
  }

  /** From open to ended: gives everything back, since the store is closed. */
  closeWithStore(): void {
    this.#closedWithStore = true;
    this.giveUp();
  }

  /**
   * From open or committing to ended: gives all reservations and claims back, and ends pushes in
   * flight. Grains that are being written are given back when the write has returned.
   */
  giveUp(): void {
    inOneGo(this.giveUpInSteps());
  }

  /**
   * As `giveUp`, with pauses, before a commit rejects with `failure`. It has ended before the
   * first pause: another session may reserve the freed grains, and this session must not take
   * those values for its own.
   */
  *giveUpInSteps(failure?: unknown): Steps<void> {
    assert(this.#state !== 'ended', 'a session ends once');
    this.#state = 'ended';
    this.#failure = failure;
    for (const push of this.#pushes ?? []) push.end();
    const operations = [...this.operations].reverse();
    const left = this.#staged.leaveToBatches();
    let steps = 0;
    for (const value of operations) {
      if (++steps % stepsPerPause === 0) yield pause;
      if (value.operation === 'archive') value.home.unclaim(value.index);
      else if (!left.has(value)) value.home.release(value.index, value.count);
    }
    this.#operations = [];
    this.forgetBytes();
    this.#byId = undefined;
  }

  /** The commit has rejected: later calls only say that the session has ended. */
  rejected(): void {
    this.#failure = undefined;
  }
}

function isAsked(operation: StagedValue | ClaimedValue): boolean {
  return operation.operation === 'archive' || !operation.withdrawn;
}
