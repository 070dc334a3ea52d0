/**
 * Reads of a store as of one batch, beside a writer that may have moved on.
 *
 * Invariant: each result is of its batch. A read takes the bytes first, then follows the log to its
 * end (`log-tail.ts`). The bytes of a value change only after a batch that frees it is durable: if
 * no later record frees it, they are the value's. A mark page that the writer has replaced counts
 * together with the differences since this batch. Without the differences, a live value is proven
 * only while the writer's checkpoint is at or before this batch. A read without proof is
 * `VARVE_SNAPSHOT_GONE`; damage is `VARVE_CORRUPT` only if the writer cannot have caused it.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import { type GrainIdParts, joinGrainId, partsOfGrainId } from '../../format/grain-id.ts';
import { markValue } from '../../format/layout.ts';
import { present } from '../../util/assert.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { ReplacedAfter } from '../log/differences.ts';
import type { LogTail } from '../log/log-tail.ts';
import type { StoreCore } from '../state/core.ts';
import type { StreamedValue } from '../streams/value-stream.ts';
import { type ByteRange, type ValuePlace, valuePlace } from '../values/value-place.ts';
import { followMove } from './followed-moves.ts';
import { type Attempt, damageOf, type Spot, type Verdict } from './proofs.ts';
import type { ValueReads } from './value-reads.ts';

/** Reads of marks that the writer keeps replacing, at most. */
const triesMax = 4;

export class ProvenReads implements ValueReads {
  readonly core: StoreCore;
  readonly #tail: LogTail;
  readonly #era: number;
  /** The settled base that the structures were loaded from. */
  readonly #base: number;
  /** Count of file reads when the log was last followed to its end. */
  #followedReads = -1;

  /** Replacements of maps up to this batch are in the Atlas. */
  #movedUpTo: number;
  /** Replacements of later batches that are in the Atlas too. */
  readonly #moved = new Set<ReplacedAfter>();
  /** Generation of the file header that the structures were loaded from. */
  readonly #generation: number;

  /** `era`: that of the tail before the core was loaded. */
  constructor(core: StoreCore, tail: LogTail, as: { era: number; generation: number }) {
    this.core = core;
    this.#tail = tail;
    this.#era = as.era;
    this.#generation = as.generation;
    this.#movedUpTo = core.published.currentBatch;
    this.#base = present(core.reader.newerThan, 'the base of a state beside a writer');
  }

  /**
   * Applies the replacements of maps that are known and not applied yet. Throws `VARVE_IO`: then
   * the next call applies the rest.
   */
  followMoves(): void {
    let upTo = this.#movedUpTo;
    for (const replaced of this.#tail.differences.replacedAfter(upTo)) {
      upTo = replaced.batch;
      if (this.#moved.has(replaced)) continue;
      followMove(this.core, replaced);
      this.#moved.add(replaced);
    }
    if (upTo === this.#movedUpTo) return;
    this.#movedUpTo = upTo;
    this.#moved.clear();
  }

  get batch(): number {
    return this.core.published.currentBatch;
  }

  /** A followed record has been taken back: nothing new can be proven. */
  get isLost(): boolean {
    return this.#era !== this.#tail.era;
  }

  /**
   * The structures are from the newest settled state that is known. A writer may settle without a
   * new batch; then marks that cannot be read are `VARVE_SNAPSHOT_GONE` until the newer state is
   * loaded.
   */
  get isNewest(): boolean {
    return !this.isLost && this.#tail.base <= this.#base;
  }

  /** True if all changes after this batch are known. */
  get isComplete(): boolean {
    return !this.isLost && this.#tail.differences.floor <= this.batch;
  }

  /**
   * The value's bytes. Throws `VARVE_SNAPSHOT_GONE`, `VARVE_CORRUPT`, `VARVE_IO`, `VARVE_CLOSED`.
   */
  get(id: bigint): Uint8Array<ArrayBuffer> | undefined {
    this.checkOpen();
    const parts = partsOfGrainId(id);
    if (parts === undefined) return undefined;
    const checked = this.#readChecked(parts);
    if (checked !== undefined) return checked;
    return this.#proven(parts, (place) => this.#readValue(place));
  }

  /** As `get`, without blocking. */
  async getAsync(id: bigint): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.checkOpen();
    const parts = partsOfGrainId(id);
    if (parts === undefined) return undefined;
    return await this.#provenAsync(parts, (place) => this.core.values.readAsync(place));
  }

  readRange(id: bigint, range: ByteRange): Uint8Array<ArrayBuffer> | undefined {
    this.checkOpen();
    const parts = partsOfGrainId(id);
    if (parts === undefined) return undefined;
    return this.#known(
      parts,
      this.#proven(parts, (place) => this.core.values.readRange(place, range)),
    );
  }

  async readRangeAsync(id: bigint, range: ByteRange): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.checkOpen();
    const parts = partsOfGrainId(id);
    if (parts === undefined) return undefined;
    const read = (place: ValuePlace) => this.core.values.readRangeAsync(place, range);
    return this.#known(parts, await this.#provenAsync(parts, read));
  }

  streamed(id: bigint): StreamedValue | undefined {
    const parts = partsOfGrainId(id);
    if (!this.has(id) || parts === undefined) return undefined;
    return {
      read: async (read) => {
        this.checkOpen();
        const result = this.#known(parts, await this.#provenAsync(parts, read));
        if (result === undefined) throw this.gone(parts);
        return result;
      },
      // Nothing holds the writer back.
      release: () => undefined,
    };
  }

  /** Bytes without a checksum: without the differences, the value may have moved. */
  #known<Result>(parts: GrainIdParts, result: Result): Result {
    if (this.isComplete) return result;
    throw this.gone(parts);
  }

  /** As `#proven`, without blocking. */
  async #provenAsync<Result>(
    parts: GrainIdParts,
    read: (place: ValuePlace) => Promise<Result>,
  ): Promise<Result | undefined> {
    for (let tries = 1; ; tries++) {
      if (this.#isAbsent(parts)) return undefined;
      const marks = this.#attempt(parts, (place) => place);
      const attempt = await this.#readAsync(marks, read);
      this.checkOpen();
      // Follow after the read: other reads may have followed the log before these bytes were read.
      const reached = await this.#tail.followAsync();
      this.checkOpen();
      const verdict = reached ? this.#verdict(parts, attempt.spot) : 'gone';
      const again = this.#judge(parts, { verdict, tries, damage: attempt.damage });
      if (again === false) return verdict === 'absent' ? undefined : attempt.result;
    }
  }

  async #readAsync<Result>(
    { spot, damage, result: place }: Attempt<ValuePlace>,
    read: (place: ValuePlace) => Promise<Result>,
  ): Promise<Attempt<Result>> {
    if (place === undefined) return { spot, damage, result: undefined };
    try {
      return { spot, damage, result: await read(place) };
    } catch (error) {
      // A file that is closed during the read may fail it.
      this.checkOpen();
      return { spot, damage: damageOf(error), result: undefined };
    }
  }

  /** True if the value existed as of this batch, even if it has been freed since. */
  has(id: bigint): boolean {
    this.checkOpen();
    const parts = partsOfGrainId(id);
    if (parts === undefined) return false;
    try {
      if (this.#isAbsent(parts)) return false;
      const { spot } = this.#attempt(parts, () => true);
      // Marks that the writer has not replaced are those of this batch.
      if (spot !== undefined && this.#isExact(spot)) return spot.count > 0;
      return this.#proven(parts, () => true) ?? false;
    } catch (error) {
      const isGone = isVarveError(error, 'VARVE_SNAPSHOT_GONE') && this.isComplete;
      if (isGone && this.#change(parts) === 'free') return true;
      throw error;
    }
  }

  /** Length in the value's prefix. Throws as `get`. */
  lengthOf(id: bigint): number | undefined {
    this.checkOpen();
    const parts = partsOfGrainId(id);
    if (parts === undefined) return undefined;
    // Without the differences, only the checksum says that the value is where it was.
    return this.#proven(parts, (place) => {
      return this.isComplete ? this.core.values.length(place) : this.#readValue(place).length;
    });
  }

  /** True if the file may have changed since this state was loaded. Rejects with `VARVE_IO`. */
  async hasMovedOn(): Promise<boolean> {
    const reached = await this.#tail.followAsync();
    this.checkOpen();
    if (!reached || this.isLost || this.#tail.newest !== this.batch) return true;
    return this.#tail.newestHeader().generation !== this.#generation;
  }

  /** True if the writer is known to have allocated or freed the value since. */
  hasChanged(id: GrainIdParts): boolean {
    return this.#change(id) !== undefined;
  }

  /** The writer is known to have moved maps since. */
  get hasMoves(): boolean {
    return this.#movedUpTo > this.batch || this.#moved.size > 0;
  }

  /** Throws `VARVE_CLOSED`. */
  checkOpen(): void {
    if (this.#tail.closed) throw this.core.closedError();
  }

  gone(id?: GrainIdParts): VarveError {
    const { path } = this.core;
    const { batch } = this;
    const what = id === undefined ? 'this state' : 'the value';
    const moved = `the writer of '${path}' has moved on since batch ${batch}`;
    const message = `${moved}, and ${what} can no longer be read: call refresh()`;
    const grainId = id === undefined ? undefined : joinGrainId(id.basin, id.stratum, id.index);
    return new VarveError('VARVE_SNAPSHOT_GONE', message, { path, batch, grainId });
  }

  // ── a read, then its proof ──

  #proven<Result>(parts: GrainIdParts, read: (place: ValuePlace) => Result): Result | undefined {
    for (let tries = 1; ; tries++) {
      if (this.#isAbsent(parts)) return undefined;
      const { spot, result, damage } = this.#attempt(parts, read);
      if (damage === undefined && spot?.count === 0 && this.#isExact(spot)) return undefined;
      let verdict: Verdict | undefined;
      try {
        const reached = damage === undefined && this.#isFollowed ? true : this.#follow();
        verdict = reached ? this.#verdict(parts, spot) : 'gone';
      } finally {
        // The read has marked the value as checked. Without a proof, also after a failed one, the
        // next read must not rely on that.
        if (verdict !== 'holds' && spot !== undefined) this.#uncheck(parts, spot);
      }
      if (this.#judge(parts, { verdict, tries, damage })) continue;
      return verdict === 'absent' ? undefined : result;
    }
  }

  /** Returns true to read again. Throws the error of the read, if any. */
  #judge(
    parts: GrainIdParts,
    { verdict, tries, damage }: { verdict: Verdict; tries: number; damage: VarveError | undefined },
  ): boolean {
    if (verdict === 'gone') throw this.gone(parts);
    if (verdict === 'replaced') {
      if (tries === triesMax) throw this.gone(parts);
      return true;
    }
    // A map may have moved with a batch that was not followed.
    if (verdict === 'holds' && damage !== undefined) {
      throw this.isComplete ? damage : this.gone(parts);
    }
    return false;
  }

  /** The first change of the value by a record after this batch. */
  #change(parts: GrainIdParts): 'allocate' | 'free' | undefined {
    return this.#tail.differences.firstAfter(parts, this.batch)?.kind;
  }

  /**
   * True if the value is known to be absent without a read of the file. Throws
   * `VARVE_SNAPSHOT_GONE`.
   */
  #isAbsent(parts: GrainIdParts): boolean {
    if (this.isLost) throw this.gone(parts);
    this.followMoves();
    if (this.isComplete) {
      const change = this.#change(parts);
      if (change === 'free') throw this.gone(parts);
      if (change === 'allocate') return true;
    }
    const { basin, stratum, index } = parts;
    const map = this.core.atlas.stratum(basin, stratum)?.mapWith(index);
    // Its grains may have been left out of a map that has moved.
    if (map === undefined && !this.isComplete && this.hasMoves) throw this.gone(parts);
    return map === undefined || (this.isComplete && this.#isDropped(parts, map));
  }

  /** True if the map has been dropped since: it held only values that were freed before. */
  #isDropped({ basin, stratum }: GrainIdParts, { firstIndex }: GrainMap): boolean {
    return this.#tail.differences.isDropped(basin, stratum, firstIndex, this.batch);
  }

  #attempt<Result>(parts: GrainIdParts, read: (place: ValuePlace) => Result): Attempt<Result> {
    let spot: Spot | undefined;
    try {
      spot = this.#spot(parts);
      const { map, count } = spot;
      const result = count === 0 ? undefined : read(valuePlace(parts, map, count));
      return { spot, result, damage: undefined };
    } catch (error) {
      return { spot, result: undefined, damage: damageOf(error) };
    }
  }

  #spot({ basin, stratum, index }: GrainIdParts): Spot {
    const found = this.core.atlas.stratum(basin, stratum)?.find(index);
    if (found === undefined) throw this.gone();
    const { map, page, at } = found;
    return { map, stamp: page.stamp, mark: page.mark(at), count: page.countAt(at) };
  }

  /** True if the marks are those of this batch, not of a later one. */
  #isExact({ stamp }: Spot): boolean {
    return stamp <= this.batch;
  }

  /** No read of the file since the log was followed: that proof covers all that is in memory. */
  get #isFollowed(): boolean {
    return this.#followedReads === this.core.reader.reads && !this.isLost;
  }

  #follow(): boolean {
    const { reads } = this.core.reader;
    const reached = this.#tail.follow();
    if (reached) this.#followedReads = reads;
    return reached;
  }

  #verdict(parts: GrainIdParts, spot: Spot | undefined): Verdict {
    if (this.isLost) return 'gone';
    this.followMoves();
    const { basin, stratum, index } = parts;
    const map = this.core.atlas.stratum(basin, stratum)?.mapWith(index);
    const hasMoved = spot !== undefined && spot.map !== map;
    if (!this.isComplete) return hasMoved ? 'gone' : this.#verdictByCheckpoint(spot);
    const change = this.#change(parts);
    if (change !== undefined) return change === 'free' ? 'gone' : 'absent';
    if (hasMoved) return 'replaced';
    if (map === undefined || this.#isDropped(parts, map)) return 'absent';
    if (spot !== undefined) return 'holds';
    return this.isNewest ? 'holds' : 'replaced';
  }

  /** Without differences: values archived after the checkpoint have not been freed. */
  #verdictByCheckpoint(spot: Spot | undefined): Verdict {
    if (spot === undefined || !this.#isExact(spot)) return 'gone';
    const { checkpoint } = this.#tail;
    if (spot.count === 0 || checkpoint <= this.core.published.checkpoint) return 'holds';
    return checkpoint <= this.batch && spot.mark === markValue ? 'holds' : 'gone';
  }

  // ── the cache ──

  /** A cached and proven value stays proven, even if it has been freed since. */
  #readChecked({ basin, stratum, index }: GrainIdParts): Uint8Array<ArrayBuffer> | undefined {
    const map = this.core.atlas.stratum(basin, stratum)?.mapWith(index);
    if (map === undefined || !map.opened) return undefined;
    return this.core.values.readChecked(map.grainOffset(index));
  }

  #readValue(place: ValuePlace): Uint8Array<ArrayBuffer> {
    const { values } = this.core;
    if (place.parts === undefined) {
      const found = values.readInBlock(place.id, place.offset, place.capacity);
      if (found !== undefined) return found;
    }
    return values.read(place);
  }

  #uncheck({ index }: GrainIdParts, { map }: Spot): void {
    this.core.values.uncheck(map.grainOffset(index));
  }
}
