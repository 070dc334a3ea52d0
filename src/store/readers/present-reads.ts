/**
 * Reads of a store that is open for writing: of its present state.
 *
 * Invariant: a read that takes several turns gives bytes of the value that its id named when it
 * began. If that is freed meanwhile it gives none, even if the id has another value by then.
 */

import { VarveError } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import type { StoreCore } from '../state/core.ts';
import type { FreedWatch } from '../state/freed-watches.ts';
import type { StreamedValue } from '../streams/value-stream.ts';
import type { ByteRange, ValuePlace } from '../values/value-place.ts';
import { holdLog } from './log-entries.ts';
import type { ValueReads } from './value-reads.ts';

type Bytes = Uint8Array<ArrayBuffer>;

export class PresentReads implements ValueReads {
  readonly core: StoreCore;

  constructor(core: StoreCore) {
    this.core = core;
  }

  get(id: bigint): Bytes | undefined {
    this.core.checkOpen();
    return this.core.read(id);
  }

  async getAsync(id: bigint): Promise<Bytes | undefined> {
    return await this.#watched(id, (place) => this.core.values.readAsync(place));
  }

  has(id: bigint): boolean {
    this.core.checkOpen();
    return this.core.place(id) !== undefined;
  }

  lengthOf(id: bigint): number | undefined {
    this.core.checkOpen();
    const place = this.core.place(id);
    return place === undefined ? undefined : this.core.values.length(place);
  }

  readRange(id: bigint, range: ByteRange): Bytes | undefined {
    this.core.checkOpen();
    const place = this.core.place(id);
    return place === undefined ? undefined : this.core.values.readRange(place, range);
  }

  async readRangeAsync(id: bigint, range: ByteRange): Promise<Bytes | undefined> {
    return await this.#watched(id, (place) => this.core.values.readRangeAsync(place, range));
  }

  /** The result of the read; undefined without such a value, or if it is freed meanwhile. */
  async #watched<Result>(
    id: bigint,
    read: (place: ValuePlace) => Promise<Result>,
  ): Promise<Result | undefined> {
    this.core.checkOpen();
    const place = this.core.place(id);
    if (place === undefined) return undefined;
    const watch = this.core.watches.watch(place.id);
    try {
      return await this.#unlessFreed(watch, place, read);
    } finally {
      watch.end();
    }
  }

  /**
   * The result of the read; undefined if the value has been freed by then. If its map has moved
   * meanwhile, reads again where it is.
   */
  async #unlessFreed<Result>(
    watch: FreedWatch,
    first: ValuePlace,
    read: (place: ValuePlace) => Promise<Result>,
  ): Promise<Result | undefined> {
    const { core } = this;
    let place: ValuePlace | undefined = first;
    while (place !== undefined) {
      const { moves } = watch;
      let failure: unknown;
      let result: Result | undefined;
      try {
        result = await read(place);
      } catch (error) {
        failure = error;
      }
      // The file is closed, or the grains have another value by now.
      core.checkOpen();
      if (watch.isFreed) return undefined;
      if (watch.moves > moves) {
        place = core.placeOf(first.id);
        continue;
      }
      if (failure !== undefined) throw failure;
      return result;
    }
    return undefined;
  }

  /**
   * Holds a guard: a value that is not archived yet stays. One that is archived may be freed, and
   * is watched.
   */
  streamed(id: bigint): StreamedValue | undefined {
    const { core } = this;
    core.checkOpen();
    const found = core.place(id);
    if (found === undefined) return undefined;
    const guard = holdLog(core, core.published.currentBatch);
    const watch = core.watches.watch(found.id);
    return {
      read: async (read) => {
        core.checkOpen();
        const place = watch.isFreed ? undefined : core.placeOf(found.id);
        const result =
          place === undefined ? undefined : await this.#unlessFreed(watch, place, read);
        if (result === undefined) throw freed(found);
        return result;
      },
      release() {
        guard.release();
        watch.end();
      },
    };
  }
}

function freed({ id }: ValuePlace): VarveError {
  const grainId = joinGrainId(id.basin, id.stratum, id.index);
  const message = 'the value has been freed: it was archived before the stream began';
  return new VarveError('VARVE_NOT_FOUND', message, { grainId });
}
