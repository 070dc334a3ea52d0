/**
 * A named tree of a forest: reads of the last durable commit, and single changes.
 *
 * Invariant: a handle holds no state of the tree. Each change is a transaction of its own.
 * Arguments are encoded during the call: the caller may change them afterwards.
 */

import { invalidArgument, VarveError } from '../errors.ts';
import type { BatchId } from '../index.ts';
import { abandon, isThenable } from '../util/thenable.ts';
import type { ForestVersion } from './commits/forest-version.ts';
import type { ForestWriter } from './commits/forest-writer.ts';
import type { Tree, TreeChange } from './contract.ts';
import type { ForestCore } from './forest-core.ts';
import { emptyRoot, type TreeRoot } from './nodes/node.ts';
import { Changes, readChanges } from './reads/changes.ts';
import { TreeReads } from './reads/tree-reads.ts';
import { type TreeRecord, treeOf } from './trees/tree-record.ts';
import { checkConfig, type TreeUse } from './trees/tree-use.ts';

/** The durable record of one tree, looked up once for each commit. */
class DurableRecord {
  readonly #core: ForestCore;
  readonly #use: TreeUse<never, never, never>;
  #version: ForestVersion | undefined;
  #record: TreeRecord | undefined;

  constructor(core: ForestCore, use: TreeUse<never, never, never>) {
    this.#core = core;
    this.#use = use;
  }

  /** The record of the tree; also of a dropped versioned tree. */
  get(): TreeRecord | undefined {
    const core = this.#core;
    core.checkOpen();
    const { durable } = core;
    if (this.#version !== durable) {
      const record = durable.record(this.#use.name);
      const tree = treeOf(record);
      if (tree !== undefined) checkConfig(this.#use.name, tree.config, this.#use.config);
      this.#record = record;
      this.#version = durable;
    }
    return this.#record;
  }

  get root(): TreeRoot {
    return this.get()?.main ?? emptyRoot;
  }
}

export class ForestTree<K, V, R> extends TreeReads<K, V, R> implements Tree<K, V, R> {
  readonly name: string;
  readonly #core: ForestCore;
  readonly #writer: ForestWriter;
  readonly #use: TreeUse<K, V, R>;
  readonly #record: DurableRecord;

  constructor(core: ForestCore, writer: ForestWriter, use: TreeUse<K, V, R>) {
    const record = new DurableRecord(core, use as unknown as TreeUse<never, never, never>);
    super(use, {
      get nodes() {
        return core.durable.nodes;
      },
      root: () => record.root,
      hold: () => core.durable.hold(core.store, () => core.checkOpen()),
      holdBriefly: () => core.durable.hold(core.store, () => core.checkOpen()),
    });
    this.name = use.name;
    this.#core = core;
    this.#writer = writer;
    this.#use = use;
    this.#record = record;
  }

  async put(key: K, value: V): Promise<BatchId> {
    const use = this.#use;
    const { keys, values } = use;
    // The value's codec may change the bytes that were given as the key.
    const bytes = values.isQuiet ? keys.encode(key) : keys.encodeKept(key);
    const stored = values.encode(value);
    if (!this.#writer.waits) return await this.#writer.put(use, bytes, stored);
    // The put waits for a running transaction: copy, since the caller may change its bytes
    // meanwhile.
    return await this.#writer.put(use, keys.keep(bytes), values.keep(stored));
  }

  async delete(key: K): Promise<boolean> {
    const use = this.#use;
    const bytes = use.keys.encodeKept(key);
    const { result } = await this.#writer.runAtOnce((tx) => tx.writing(use).deleteEncoded(bytes));
    return result;
  }

  async update(key: K, change: (current: V | undefined) => V | null): Promise<V | null> {
    if (typeof change !== 'function') throw invalidArgument('Tree.update', 'a function', change);
    const use = this.#use;
    const bytes = use.keys.encodeKept(key);
    const { result } = await this.#writer.runAtOnce((tx) => {
      const tree = tx.writing(use);
      const next = change(tree.getEncoded(bytes));
      if (isThenable(next)) {
        abandon(next);
        throw invalidArgument('Tree.update: change', 'a function that returns no promise', next);
      }
      if (next === null) tree.deleteEncoded(bytes);
      else tree.putEncoded(bytes, use.values.encode(next));
      return next;
    });
    return result;
  }

  #versioned(): TreeRecord | undefined {
    const record = this.#record.get();
    if (this.#use.config.versioned) return record;
    throw new VarveError('VARVE_TREE_MISMATCH', `the tree '${this.name}' is not versioned`);
  }

  get lastSequence(): number {
    return this.#versioned()?.sequence ?? 0;
  }

  changes(
    options: { after?: number | undefined; limit?: number | undefined } = {},
  ): IterableIterator<TreeChange<K, V>> {
    const core = this.#core;
    const { history = emptyRoot, sequence = 0 } = this.#versioned() ?? {};
    const { nodes } = core.durable;
    const asked = readChanges(nodes, this.#use.historyShape, { history, sequence }, options);
    const hold = core.durable.hold(core.store, () => core.checkOpen());
    return new Changes(nodes, this.#use, { ...asked, hold });
  }
}
