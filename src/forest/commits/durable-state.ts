/**
 * The last durable state of the forest: the version that reads see, and the journal of changes that
 * no stored node has.
 *
 * Invariant: both change in one go, when a commit is durable or when a reader beside a writer moves
 * on to another batch. It commits nothing.
 */

import type { Vault } from '../../codecs/vault.ts';
import type { BatchId, GrainId, Store } from '../../index.ts';
import { assert, present } from '../../util/assert.ts';
import { RootWriter } from '../journal/forest-root.ts';
import type { FrozenState, FrozenTrees } from '../journal/frozen-state.ts';
import { Journal, type RootPlan, type Share, type StoredRoots } from '../journal/journal.ts';
import type { NodeRef } from '../nodes/node.ts';
import { NodeCache } from '../nodes/node-cache.ts';
import { NodeStore } from '../nodes/node-store.ts';
import { ForestContext } from '../trees/forest-context.ts';
import type { TreeHandles } from '../trees/tree-handles.ts';
import { type ForestLimits, type TreeRecord, treeOf } from '../trees/tree-record.ts';
import type { ForestVersion, VersionRoots } from './forest-version.ts';
import type { Group } from './group.ts';
import { StoredState } from './stored-state.ts';

/**
 * Seal numbers that an open skips; with a vault, up to as many more at random. A batch that was
 * taken back may have used some of them with the vault.
 */
const sealsSkipped = 2 ** 24;

/** The part of the memory for nodes that the journal's nodes, not stored yet, may take. */
const journalShare = 1 / 2;
/** Bytes that they may take beside a small cache. */
const memoryMin = 2 ** 21;

export interface StateOptions {
  readonly nodeCacheBytes: number;
  readonly vault: Vault | undefined;
}

/** A commit whose values are all pushed. */
export interface PreparedCommit {
  /** The roots that are current once it is durable. */
  readonly left: VersionRoots;
  /** The roots that its root names. */
  readonly stored: StoredRoots;
  /** The part of a frozen state that it wrote. */
  readonly share: Share | undefined;
  /** The values that nothing reaches and that later commits archive. */
  readonly unreached: readonly GrainId[];
  /** Replaced nodes of the catalog. */
  readonly replaced: readonly NodeRef[];
}

export class DurableState {
  readonly rootWriter = new RootWriter();
  #context: ForestContext;
  #version: ForestVersion;
  #journal: Journal;
  readonly #options: StateOptions;
  #changedBytes = 0;
  readonly #followers = new Set<(stored: ReadonlySet<NodeRef>) => void>();

  /**
   * Reads the root of the forest. Throws `VARVE_NOT_A_FOREST`, `VARVE_UNSUPPORTED_VERSION`,
   * `VARVE_VAULT`, `VARVE_CORRUPT`.
   */
  constructor(store: Store, limits: ForestLimits, handles: TreeHandles, options: StateOptions) {
    this.#options = options;
    const read = this.#read(store, limits, handles);
    this.#context = read.context;
    this.#version = read.version;
    this.#journal = read.journal;
    this.#reserveMemory();
  }

  /** The forest as the store has it now. */
  #read(store: Store, limits: ForestLimits, handles: TreeHandles) {
    const { vault, nodeCacheBytes } = this.#options;
    // A reader's source must stay at its batch when the store refreshes.
    const source = store.readOnly ? store.view() : store;
    const nodes = new NodeStore(source, vault, new NodeCache(store.memory, nodeCacheBytes));
    const context = new ForestContext(store, nodes, limits, handles);
    const { version, journal: found, nextSeal } = new StoredState(context, store.currentBatch);
    nodes.sealFrom(nextSeal + skipped(vault));
    const memoryBytes = Math.max(memoryMin, nodeCacheBytes * journalShare);
    const bounds = { logBytes: limits.journalBytes, memoryBytes };
    return { context, version, journal: new Journal(found, bounds, store, nodes.source) };
  }

  get context(): ForestContext {
    return this.#context;
  }

  get version(): ForestVersion {
    return this.#version;
  }

  /** Changes of the durable state that no stored node has. */
  get journal(): Journal {
    return this.#journal;
  }

  /**
   * Calls `follow` with the nodes that each later commit has stored, when it is durable, until the
   * returned function is called.
   */
  followStored(follow: (stored: ReadonlySet<NodeRef>) => void): () => void {
    this.#followers.add(follow);
    return () => this.#followers.delete(follow);
  }

  /** Moves a reader to the batch that its store has refreshed to. Throws as the constructor. */
  moveOn(): void {
    const { store, limits, handles } = this.#context;
    if (this.#version.batch === store.currentBatch) return;
    const read = this.#read(store, limits, handles);
    const { nodes: before } = this.#context;
    this.#context = read.context;
    this.#version = read.version;
    this.#journal = read.journal;
    before.retire();
    this.#reserveMemory();
  }

  /** The records of these trees, and the shares, as they are durable. */
  frozenTrees(trees: ReadonlySet<string>): FrozenTrees {
    const records = new Map<string, TreeRecord | undefined>();
    for (const name of trees) records.set(name, this.#version.record(name));
    return { records, shares: this.#version.roots.shares };
  }

  /** The group is durable as `batch`: what it leaves is the durable state from now on. */
  advance(batch: BatchId, group: Group, plan: RootPlan, prepared: PreparedCommit): void {
    const { handles } = this.#context;
    const { left, stored, share, unreached, replaced } = prepared;
    const journal = this.#journal;
    const root = present(group.root, 'the root of a commit');
    assert(batch > this.#version.batch, 'a commit is later than the state that it stands on');
    // Its nodes go to the cache or to the journal.
    this.reserveForChanges(0);
    if (plan.isLogged) journal.logged(group, plan, root, share);
    else journal.flushed(stored, root);
    this.#advanceNodes(group, plan.frozen, share);
    for (const ref of replaced) this.#context.nodes.forget(ref);
    const isWhole = share?.isWhole === true;
    if (isWhole) journal.finished(stored, unreached);
    const lacking = isWhole || !plan.isLogged ? journal.trees : undefined;
    const { changed } = group;
    this.#version = this.#version.next(batch, left, { changed, lacking });
    this.#reserveMemory();
    for (const [name, record] of changed) {
      if (treeOf(record) === undefined) handles.forget(name);
    }
  }

  #advanceNodes({ stored, garbage }: Group, frozen: FrozenState | undefined, share?: Share): void {
    const { nodes } = this.#context;
    for (const follow of this.#followers) follow(stored);
    for (const ref of stored) {
      nodes.becameDurable(ref);
      nodes.cache.add(ref);
    }
    for (const ref of garbage.nodes) {
      if (frozen?.awaits(ref) === true) frozen.replaced(ref);
      else nodes.forget(ref);
    }
    if (frozen === undefined || share === undefined) return;
    for (const ref of frozen.advance(share.count)) nodes.forget(ref);
  }

  /**
   * `bytes`: approximate memory of nodes that transactions have changed and that no durable state
   * has.
   */
  reserveForChanges(bytes: number): void {
    this.#changedBytes = bytes;
    this.#reserveMemory();
  }

  /** Gives all memory back: the forest is closed. */
  end(): void {
    const { nodes, limits } = this.#context;
    limits.memory.clear();
    nodes.cache.clear();
  }

  /** Reserves cache memory for changes, for the journal's nodes and logs, and for `NodeMemory`. */
  #reserveMemory(): void {
    const { nodes, limits } = this.#context;
    const { keptBytes } = limits.memory;
    // Whole bytes: the journal counts nodes by means of their sizes.
    const bytes = Math.ceil(this.#journal.memoryBytes + this.#changedBytes);
    nodes.cache.reserve(bytes + keptBytes);
  }
}

function skipped(vault: Vault | undefined): number {
  // Without a vault no number is used: files of the same content stay the same.
  if (vault === undefined) return sealsSkipped;
  return sealsSkipped + Math.floor(Math.random() * sealsSkipped);
}
