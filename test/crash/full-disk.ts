/**
 * The life of a store on a disk that is full: filled until the disk refuses, emptied in any order
 * and in steps of any size, filled again, over reopenings and power cuts, beside a plain map of the
 * values that it should have.
 *
 * Invariant: what is deleted or checkpointed never fails, whatever else does; no refusal poisons.
 */

import { isVarveError } from '../../src/errors.ts';
import { pageBytes } from '../../src/format/layout.ts';
import type { GrainId, Session, Store } from '../../src/index.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { patternOf } from '../support/bytes.ts';
import { powerCut, restarted } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { type Capacity, SmallDisk } from '../support/disks/small-disk.ts';
import { compactsEarly } from '../support/lives/life-settings.ts';
import { Random } from '../support/random.ts';

interface Live {
  readonly length: number;
  readonly seed: number;
}

export interface FullDiskSettings {
  readonly seed: number;
  readonly kind: Capacity;
  readonly pages: number;
  readonly lengthOf: (random: Random) => number;
  /** Values of one commit at most. */
  readonly step: number;
  readonly settleBytes?: number;
  /** With automatic compaction. */
  readonly compacts?: boolean;
}

export class FullDiskLife {
  readonly random: Random;
  readonly room: SmallDisk;
  /** The values that are committed and not archived, in the order of their pushes. */
  readonly live = new Map<GrainId, Live>();
  disk: SimulatedDisk;
  /** The power has gone. */
  hasEnded = false;
  readonly #settings: FullDiskSettings;
  #store: Store | undefined;
  #seed = 0;
  /** Changes of the commit under way, for a power cut in it. */
  readonly #pushing = new Map<GrainId, Live>();
  #archiving: GrainId[] = [];
  /** The operation of the disk from now on at which the power goes. */
  #cutIn: number | undefined;

  constructor(settings: FullDiskSettings) {
    this.#settings = settings;
    this.random = new Random(settings.seed);
    this.room = new SmallDisk(settings.pages, settings.kind);
    this.disk = this.#newDisk();
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  get liveBytes(): number {
    let bytes = 0;
    for (const { length } of this.live.values()) bytes += length;
    return bytes;
  }

  #newDisk(state?: SimulatedDisk['state']): SimulatedDisk {
    return new SimulatedDisk({
      ...(state === undefined ? {} : { state }),
      records: false,
      faultOf: (operation) => {
        if (this.#cutIn !== undefined && this.#cutIn-- <= 0) {
          this.hasEnded = true;
          return { kind: 'end' };
        }
        return this.room.faultOf(operation);
      },
    });
  }

  async open(): Promise<void> {
    const { settleBytes, compacts = false } = this.#settings;
    const compaction = compacts ? 'automatic' : 'manual';
    const options = { fileSystem: this.disk, cacheBytes: 0, settleBytes, compaction } as const;
    const limits = { ...defaultLimits, compactsFrom: compactsEarly };
    this.#store = await openStore(checkOptions('store', options, limits));
  }

  async close(): Promise<void> {
    await this.store.close();
    this.#store = undefined;
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  /** The power goes at the write or sync after so many; whatever is done next ends with it. */
  cutAfter(operations: number): void {
    this.#cutIn = operations;
  }

  /** After the power went: it comes back, and the store is opened again. */
  async restart(): Promise<void> {
    this.#cutIn = undefined;
    this.hasEnded = false;
    const { random } = this;
    const keeps = random.chance(0.5) ? (): boolean => false : (): boolean => random.chance(0.5);
    this.disk = this.#newDisk(restarted(powerCut(this.disk.state, keeps)));
    await this.open();
    this.#decide();
    await this.check();
  }

  /** The commit that the power cut is there as a whole or not at all. */
  #decide(): void {
    const isThere = [
      ...[...this.#pushing.keys()].map((id) => this.store.has(id)),
      ...this.#archiving.map((id) => !this.store.has(id) || this.#isArchived(id)),
    ];
    if (new Set(isThere).size > 1) throw new Error('a commit is there in part');
    if (isThere[0] === true) this.#accept();
    this.#forget();
  }

  #forget(): void {
    this.#pushing.clear();
    this.#archiving = [];
  }

  #isArchived(id: GrainId): boolean {
    const session = this.store.session();
    try {
      session.archive(id);
      return false;
    } catch (error) {
      if (isVarveError(error, 'VARVE_ALREADY_ARCHIVED')) return true;
      throw error;
    } finally {
      session.abandon();
    }
  }

  #accept(): void {
    for (const id of this.#archiving) this.live.delete(id);
    for (const [id, value] of this.#pushing) this.live.set(id, value);
  }

  async #commit(session: Session): Promise<void> {
    try {
      await (this.random.chance(0.5) ? session.commit() : session.commitSync());
      this.#accept();
    } catch (error) {
      // After the power went the next opening decides.
      if (!this.hasEnded) this.#forget();
      throw error;
    }
    this.#forget();
  }

  #push(session: Session): void {
    this.#seed += 1;
    const value = { length: this.#settings.lengthOf(this.random), seed: this.#seed };
    this.#pushing.set(session.push(patternOf(value.length, value.seed)), value);
  }

  /** Pushes a few values in one commit; false where the disk refuses. */
  async put(most = this.#settings.step): Promise<boolean> {
    const session = this.store.session();
    const count = 1 + this.random.below(most);
    for (let at = 0; at < count; at++) this.#push(session);
    return await this.#isCommitted(session);
  }

  async #isCommitted(session: Session): Promise<boolean> {
    try {
      await this.#commit(session);
      return true;
    } catch (error) {
      if (isVarveError(error, 'VARVE_IO') && !this.hasEnded) return false;
      throw error;
    }
  }

  /** Deletes `ids`, with a checkpoint in the same commit, in one of its own, or without one. */
  async remove(ids: readonly GrainId[], checkpoint: 'same' | 'own' | 'none'): Promise<void> {
    const session = this.store.session();
    for (const id of ids) {
      session.archive(id);
      this.#archiving.push(id);
    }
    if (checkpoint === 'same') session.checkpointTo(this.store.currentBatch);
    await this.#commit(session);
    if (checkpoint === 'own') await this.store.checkpointTo(this.store.currentBatch);
  }

  /** As many values more as are archived, in one commit: the job queue's way. False where refused. */
  async replace(count: number): Promise<boolean> {
    const session = this.store.session();
    for (const id of this.pick(count)) {
      session.archive(id);
      this.#archiving.push(id);
    }
    for (let at = 0; at < count; at++) this.#push(session);
    session.checkpointTo(this.store.currentBatch);
    return await this.#isCommitted(session);
  }

  /** So many live values, in any order. */
  pick(count: number): GrainId[] {
    const ids = [...this.live.keys()];
    const picked: GrainId[] = [];
    while (picked.length < count && ids.length > 0) {
      const at = this.random.below(ids.length);
      picked.push(ids[at] as GrainId);
      ids[at] = ids.at(-1) as GrainId;
      ids.pop();
    }
    return picked;
  }

  /** The store has just the values that it should have, and is sound. */
  async check(deep = false): Promise<void> {
    const { store } = this;
    for (const [id, { length, seed }] of this.live) {
      const found = store.get(id);
      if (found === undefined) throw new Error(`a value of ${length} bytes is gone`);
      if (Buffer.compare(found, patternOf(length, seed)) !== 0) {
        throw new Error(`a value of ${length} bytes has other bytes`);
      }
    }
    const { values, archivedValues } = store.statistics();
    if (values - archivedValues !== this.live.size) {
      throw new Error(`the store has ${values - archivedValues} values, not ${this.live.size}`);
    }
    for await (const { message, offset } of store.verify({ deep })) {
      throw new Error(`${message} (page ${(offset ?? 0) / pageBytes})`);
    }
  }
}

/** Puts until the disk refuses one value after another. */
export async function fill(life: FullDiskLife): Promise<void> {
  while (await life.put());
  for (let refusals = 0; refusals < 3; ) if (!(await life.put(1))) refusals += 1;
}

/** Puts until it has so many bytes; checkpoints now and then, or the log would take the space. */
export async function refill(life: FullDiskLife, bytes: number): Promise<void> {
  let refusals = 0;
  while (life.liveBytes < bytes) {
    const { store } = life;
    if (life.random.chance(0.05)) await store.checkpointTo(store.currentBatch);
    // A value that is too long for the holes that are left is refused, and another may fit.
    refusals = (await life.put(refusals > 0 ? 1 : undefined)) ? 0 : refusals + 1;
    if (refusals < 10) continue;
    throw new Error(`refused with ${life.liveBytes} bytes, ${bytes} were there before`);
  }
}

/** A life whose store has just filled its disk, and the bytes that went in. */
export async function filledLife(
  settings: FullDiskSettings,
): Promise<{ readonly life: FullDiskLife; readonly bytes: number }> {
  const life = new FullDiskLife(settings);
  await life.open();
  await fill(life);
  return { life, bytes: life.liveBytes };
}

/** Nine tenths of `bytes` go in again, and the store is sound and closes. */
export async function finish(life: FullDiskLife, bytes: number): Promise<void> {
  await refill(life, bytes * 0.9);
  await life.check(true);
  await life.close();
}
