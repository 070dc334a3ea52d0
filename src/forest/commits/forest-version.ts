/**
 * One durable state of the forest, and what is needed to read it: the catalog and the records of
 * its trees.
 *
 * Invariant: what a version says does not change. Records that were looked up are remembered, with
 * the nodes that they hold, for all versions together (`TreeRecords`). Nothing is written here.
 */

import { isVarveError, type VarveError } from '../../errors.ts';
import type { BatchId, CheckpointGuard, Store } from '../../index.ts';
import type { TreeRoot, TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import type { ReadHold } from '../reads/range-iterators.ts';
import { catalogEntries, findRecord } from '../trees/catalog.ts';
import { type TreeRecord, treeOf } from '../trees/tree-record.ts';
import type { TreeRecords } from '../trees/tree-records.ts';

export interface VersionRoots {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
  /** Values that a transaction under way had pushed into the batch. */
  readonly pending: readonly bigint[];
}

export class ForestVersion {
  readonly batch: BatchId;
  readonly roots: VersionRoots;
  readonly nodes: NodeStore;
  readonly #shape: TreeShape;
  readonly #records: TreeRecords;
  /** Counts versions: later ones have higher numbers. */
  readonly #number: number;
  /** Trees that cannot be read as they are, and why. */
  readonly #stuck: ReadonlyMap<string, VarveError>;
  #guard: CheckpointGuard | undefined;
  #holds = 0;

  constructor(
    of: {
      readonly nodes: NodeStore;
      readonly shape: TreeShape;
      readonly batch: BatchId;
      readonly stuck: ReadonlyMap<string, VarveError>;
    },
    roots: VersionRoots,
    records: TreeRecords,
    number = 0,
  ) {
    this.nodes = of.nodes;
    this.#shape = of.shape;
    this.batch = of.batch;
    this.#stuck = of.stuck;
    this.roots = roots;
    this.#records = records;
    this.#number = number;
  }

  /** The version after this one, in which these records have changed. */
  next(
    batch: BatchId,
    roots: VersionRoots,
    changed: ReadonlyMap<string, TreeRecord | undefined>,
  ): ForestVersion {
    const number = this.#number + 1;
    // A told commit leaves the catalog as it is.
    this.#records.change(number, changed, roots.catalog !== this.roots.catalog);
    const [nodes, shape, stuck] = [this.nodes, this.#shape, this.#stuck];
    return new ForestVersion({ nodes, shape, batch, stuck }, roots, this.#records, number);
  }

  /**
   * What there is of the tree, a dropped one's too. Throws where the tree's changes since its nodes
   * were written cannot be done again.
   */
  record(name: string): TreeRecord | undefined {
    const stuck = this.#stuck.get(name);
    if (stuck !== undefined) throw stuck;
    const known = this.#records.find(name, this.#number);
    if (known !== undefined) return known.record;
    const found = findRecord(this.nodes, this.#shape, this.roots.catalog, name);
    if (found !== undefined) this.#records.read(name, this.#number, found);
    return found;
  }

  /** Trees whose records need not be read. */
  get treesInMemory(): number {
    return this.#records.size;
  }

  names(): string[] {
    const entries = catalogEntries(this.nodes, this.#shape, this.roots.catalog);
    return Array.from(entries).flatMap(({ name, record }) => (treeOf(record) ? name : []));
  }

  /** Nothing that this version reaches is freed until the hold is released. */
  hold(store: Store, check: () => void): ReadHold {
    if (this.#holds === 0) this.#guard = guardOf(store, this.batch);
    this.#holds += 1;
    this.nodes.holds += 1;
    this.#records.hold(this.#number);
    let held = true;
    return {
      check,
      release: () => {
        if (!held) return;
        held = false;
        this.#holds -= 1;
        this.nodes.holds -= 1;
        this.#records.release(this.#number);
        if (this.#holds > 0) return;
        this.#guard?.release();
        this.#guard = undefined;
      },
    };
  }
}

/** A guard of this batch, or of the first one after it that can be guarded. */
function guardOf(store: Store, batch: BatchId): CheckpointGuard {
  try {
    return store.guard(Math.max(batch, store.checkpoint));
  } catch (error) {
    // What others archived may be on its way out: nothing of the forest is.
    if (!isVarveError(error, 'VARVE_LOG_TRUNCATED')) throw error;
    return store.guard();
  }
}
