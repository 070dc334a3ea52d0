/**
 * A store in which every value lands in the space that others left: it was filled with values of
 * one length, they were archived and a checkpoint freed them; when that space is used up the same
 * is done with those that took it.
 *
 * Invariant: `makeRoom` is called before each group of values, outside of what is timed.
 * `growthText` tells whether the file grew nevertheless.
 */

import { type GrainId, Store } from '../../src/index.ts';
import { bytesText } from './figures.ts';

/** Times that the space is filled and freed at most, until the file grows no longer. */
const lapsMax = 4;

export class ReusedSpace {
  readonly store: Store;
  readonly #places: number;
  readonly #fileBytes: number;
  #ids: GrainId[] = [];

  private constructor(store: Store, places: number) {
    this.store = store;
    this.#places = places;
    this.#fileBytes = store.statistics().fileBytes;
  }

  /** Makes a store with room for `places` values like `value`, all of it used once. */
  static async make(path: string, value: Uint8Array, places: number): Promise<ReusedSpace> {
    const store = await Store.open(path);
    // Space of a whole grain map comes free with the settle after next, so one lap is not enough.
    for (let lap = 0, grew = true; grew && lap < lapsMax; lap++) {
      const { fileBytes } = store.statistics();
      await freeAll(store, await fill(store, value, places));
      grew = store.statistics().fileBytes > fileBytes;
    }
    return new ReusedSpace(store, places);
  }

  /** Before `count` more values: frees all that are there, where they would not have room. */
  makeRoom(count: number): void | Promise<void> {
    if (this.#ids.length + count <= this.#places) return;
    const ids = this.#ids;
    this.#ids = [];
    return freeAll(this.store, ids);
  }

  /** To be called with each value that was stored. */
  stored(id: GrainId): void {
    this.#ids.push(id);
  }

  growthText(): string {
    const growth = this.store.statistics().fileBytes - this.#fileBytes;
    return `its file grew by ${bytesText(growth)} since it was filled`;
  }
}

/** Stores `count` values, about 1 MiB a commit. */
async function fill(store: Store, value: Uint8Array, count: number): Promise<GrainId[]> {
  const together = Math.floor(1024 ** 2 / value.length);
  const ids: GrainId[] = [];
  while (ids.length < count) {
    if (together <= 1) {
      ids.push((await store.put(value)).id);
      continue;
    }
    const session = store.session();
    const until = Math.min(count, ids.length + together);
    while (ids.length < until) ids.push(session.push(value));
    await session.commit();
  }
  return ids;
}

async function freeAll(store: Store, ids: readonly GrainId[]): Promise<void> {
  const session = store.session();
  for (const id of ids) session.archive(id);
  await store.checkpointTo(await session.commit());
}
