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
import { changeAt, findChanges } from './reads/changes.ts';
import { Entries } from './reads/range-iterators.ts';
import { TreeReads } from './reads/tree-reads.ts';
import { type TreeRecord, treeOf } from './trees/tree-record.ts';
import { checkConfig, type TreeSchema } from './trees/tree-schema.ts';

/** The durable record of one tree, looked up once for each commit. */
class DurableRecord {
  readonly #core: ForestCore;
  readonly #schema: TreeSchema<never, never, never>;
  #version: ForestVersion | undefined;
  #record: TreeRecord | undefined;

  constructor(core: ForestCore, schema: TreeSchema<never, never, never>) {
    this.#core = core;
    this.#schema = schema;
  }

  /** The record of the tree; also of a dropped versioned tree. */
  get(): TreeRecord | undefined {
    const core = this.#core;
    core.checkOpen();
    const { durable } = core;
    if (this.#version !== durable) {
      const record = durable.record(this.#schema.name);
      const tree = treeOf(record);
      if (tree !== undefined) checkConfig(this.#schema.name, tree.config, this.#schema.config);
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
  readonly #schema: TreeSchema<K, V, R>;
  readonly #record: DurableRecord;

  constructor(core: ForestCore, writer: ForestWriter, schema: TreeSchema<K, V, R>) {
    const record = new DurableRecord(core, schema as unknown as TreeSchema<never, never, never>);
    super(schema, {
      get nodes() {
        return core.durable.nodes;
      },
      root: () => record.root,
      hold: () => core.durable.hold(() => core.checkOpen()),
      holdBriefly: () => core.durable.hold(() => core.checkOpen()),
    });
    this.name = schema.name;
    this.#core = core;
    this.#writer = writer;
    this.#schema = schema;
    this.#record = record;
  }

  async put(key: K, value: V): Promise<BatchId> {
    const schema = this.#schema;
    const { keys, values } = schema;
    // The value's codec may change the bytes that were given as the key.
    const bytes = values.isQuiet ? keys.encode(key) : keys.encodeKept(key);
    const stored = values.encode(value);
    if (!this.#writer.waits) return await this.#writer.put(schema, bytes, stored);
    // The put waits for a running transaction: copy, since the caller may change its bytes
    // meanwhile.
    return await this.#writer.put(schema, keys.keep(bytes), values.keep(stored));
  }

  async delete(key: K): Promise<boolean> {
    const schema = this.#schema;
    const bytes = schema.keys.encodeKept(key);
    const { result } = await this.#writer.runAtOnce((tx) =>
      tx.writing(schema).deleteEncoded(bytes),
    );
    return result;
  }

  async update(key: K, change: (current: V | undefined) => V | null): Promise<V | null> {
    if (typeof change !== 'function') throw invalidArgument('Tree.update', 'a function', change);
    const schema = this.#schema;
    const bytes = schema.keys.encodeKept(key);
    const { result } = await this.#writer.runAtOnce((tx) => {
      const tree = tx.writing(schema);
      const next = change(tree.getEncoded(bytes));
      if (isThenable(next)) {
        abandon(next);
        throw invalidArgument('Tree.update: change', 'a function that returns no promise', next);
      }
      if (next === null) tree.deleteEncoded(bytes);
      else tree.putEncoded(bytes, schema.values.encode(next));
      return next;
    });
    return result;
  }

  #versioned(): TreeRecord | undefined {
    const record = this.#record.get();
    if (this.#schema.config.versioned) return record;
    throw new VarveError('VARVE_TREE_MISMATCH', `the tree '${this.name}' is not versioned`);
  }

  get lastSequence(): number {
    return this.#versioned()?.sequence ?? 0;
  }

  changes(
    options: { after?: number | undefined; limit?: number | undefined } = {},
  ): IterableIterator<TreeChange<K, V>> {
    const core = this.#core;
    const schema = this.#schema;
    const { history: root = emptyRoot, sequence = 0 } = this.#versioned() ?? {};
    const { nodes } = core.durable;
    const history = { nodes, shape: schema.historyShape, root, reverse: false };
    const positions = findChanges(history, sequence, options);
    const hold = core.durable.hold(() => core.checkOpen());
    return new Entries(history, positions, hold, (leaf, index) => {
      return changeAt(nodes, schema, leaf, index);
    });
  }
}
