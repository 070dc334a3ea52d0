/**
 * A view of a store: its values as of one batch, which a later `refresh` does not move.
 *
 * This file has the shape, and the view of a store that is open for writing: it reads the present
 * state, which the caller's guard holds. The views of readers are their states (`proven-reads.ts`).
 */

import type { GrainId } from '../format/grain-id.ts';
import type { BatchId } from './state/batch-id.ts';
import { checkId } from './values/value-arguments.ts';

/**
 * The store as of its current batch when `Store.view` was called; a later refresh does not move it.
 * If the store is open for writing, it reads the present state: keep values by a guard.
 */
export interface StoreView {
  readonly batch: BatchId;
  readonly embeddedHeader: GrainId | undefined;
  /** As `Store.get`, as of `batch`. */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined;
  /** As `Store.getAsync`, as of `batch`. */
  getAsync(id: GrainId): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** As `Store.has`, as of `batch`. */
  has(id: GrainId): boolean;
  /** As `Store.lengthOf`, as of `batch`. */
  lengthOf(id: GrainId): number | undefined;
}

/** The source of a view: the store, or a state of a reader. */
export type ViewSource = Omit<StoreView, 'batch' | 'embeddedHeader'>;

function checked(method: string, id: GrainId): GrainId {
  checkId(`StoreView.${method}`, id);
  return id;
}

export function viewOf(
  source: ViewSource,
  { currentBatch, embeddedHeader }: { currentBatch: number; embeddedHeader: bigint },
): StoreView {
  return Object.freeze({
    batch: currentBatch,
    embeddedHeader: embeddedHeader === 0n ? undefined : (embeddedHeader as GrainId),
    get: (id: GrainId) => source.get(checked('get', id)),
    getAsync: async (id: GrainId) => await source.getAsync(checked('getAsync', id)),
    has: (id: GrainId) => source.has(checked('has', id)),
    lengthOf: (id: GrainId) => source.lengthOf(checked('lengthOf', id)),
  });
}
