/**
 * One durable state of the forest: its batch, its roots and the records of its trees.
 *
 * Invariant: a version never changes. All versions share one cache of records (`TreeRecords`), with
 * the nodes that these hold. Nothing is written here.
 */

import { isVarveError, type VarveError } from '../../errors.ts';
import type { BatchId, CheckpointGuard, GrainId, Store } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { TreeRoot } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import type { Hold } from '../reads/range-iterators.ts';
import { catalogEntries, findRecord } from '../trees/catalog.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { type TreeRecord, treeOf } from '../trees/tree-record.ts';
import type { TreeRecords } from '../trees/tree-records.ts';

export interface VersionRoots {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
  /** Values that a running transaction had pushed into the batch. */
  readonly pending: readonly GrainId[];
}

export interface ChangedRecords {
  readonly changed: ReadonlyMap<string, TreeRecord | undefined>;
  /** The trees whose current record the catalog lacks, if it is not the one before. */
  readonly lacking: ReadonlySet<string> | undefined;
}

interface VersionFacts {
  readonly batch: BatchId;
  readonly roots: VersionRoots;
  /** Trees whose logged changes could not be replayed, with the error. */
  readonly stuck: ReadonlyMap<string, VarveError>;
}

export class ForestVersion {
  readonly batch: BatchId;
  readonly roots: VersionRoots;
  readonly #context: ForestContext;
  readonly #records: TreeRecords;
  /** Counts versions: later ones have higher numbers. */
  readonly #number: number;
  readonly #stuck: ReadonlyMap<string, VarveError>;
  #guard: CheckpointGuard | undefined;
  #holds = 0;

  constructor(context: ForestContext, facts: VersionFacts, records: TreeRecords, number = 0) {
    this.batch = facts.batch;
    this.roots = facts.roots;
    this.#context = context;
    this.#stuck = facts.stuck;
    this.#records = records;
    this.#number = number;
  }

  get nodes(): NodeStore {
    return this.#context.nodes;
  }

  /** The version after this one, in which these records have changed. */
  next(batch: BatchId, roots: VersionRoots, { changed, lacking }: ChangedRecords): ForestVersion {
    const number = this.#number + 1;
    this.#records.change(number, changed, lacking);
    const facts = { batch, roots, stuck: this.#stuck };
    return new ForestVersion(this.#context, facts, this.#records, number);
  }

  /**
   * The record of the tree; also of a dropped versioned tree. Throws the error of the replay if the
   * tree's logged changes could not be replayed.
   */
  record(name: string): TreeRecord | undefined {
    const stuck = this.#stuck.get(name);
    if (stuck !== undefined) throw stuck;
    const known = this.#records.find(name, this.#number);
    if (known !== undefined) return known.record;
    const found = findRecord(this.nodes, this.#context.catalogShape, this.roots.catalog, name);
    if (found !== undefined) this.#records.read(name, this.#number, found);
    return found;
  }

  /** Number of trees whose records are in memory. */
  get treesInMemory(): number {
    return this.#records.size;
  }

  names(): string[] {
    const entries = catalogEntries(this.nodes, this.#context.catalogShape, this.roots.catalog);
    return Array.from(entries).flatMap(({ name, record }) => (treeOf(record) ? name : []));
  }

  /** Nothing that this version reaches is freed until the hold is released. */
  hold(check: () => void): Hold {
    if (this.#holds === 0) this.#guard = guardOf(this.#context.store, this.batch);
    this.#holds += 1;
    const letGo = this.nodes.hold();
    this.#records.hold(this.#number);
    let held = true;
    return {
      check,
      release: () => {
        if (!held) return;
        held = false;
        this.#holds -= 1;
        letGo();
        this.#records.release(this.#number);
        assert(this.#holds >= 0, 'a hold of a version is released once');
        if (this.#holds > 0) return;
        this.#guard?.release();
        this.#guard = undefined;
      },
    };
  }
}

/** A guard of this batch, or of the first later one that can be guarded. */
function guardOf(store: Store, batch: BatchId): CheckpointGuard {
  try {
    return store.guard(Math.max(batch, store.checkpoint));
  } catch (error) {
    // A checkpoint in flight goes beyond this batch. It frees what other users of the store
    // archived, and nothing that this version reaches: a guard of the current batch is enough.
    if (!isVarveError(error, 'VARVE_LOG_TRUNCATED')) throw error;
    return store.guard();
  }
}
