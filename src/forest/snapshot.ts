/**
 * The whole forest as of one durable commit.
 *
 * Invariant: until it is released, nothing that it reaches is freed, and later commits do not
 * change it. A forgotten snapshot is released when it is collected.
 */

import { VarveError } from '../errors.ts';
import type { BatchId } from '../index.ts';
import type { ForestVersion } from './commits/forest-version.ts';
import type { ReadableTree, Snapshot, Tree } from './contract.ts';
import type { ForestCore } from './forest-core.ts';
import { emptyRoot, type TreeRoot } from './nodes/node.ts';
import type { Hold } from './reads/range-iterators.ts';
import { TreeReads } from './reads/tree-reads.ts';
import { treeOf } from './trees/tree-record.ts';
import { checkConfig, type TreeSchema } from './trees/tree-schema.ts';

const forgotten = new FinalizationRegistry<Hold>((hold) => hold.release());

/** The version that it holds, and whether it was released. */
interface Held {
  readonly version: ForestVersion;
  readonly hold: Hold;
  released: boolean;
}

export class ForestSnapshot implements Snapshot {
  readonly batch: BatchId;
  readonly #core: ForestCore;
  readonly #held: Held;

  constructor(core: ForestCore) {
    const version = core.durable;
    this.#core = core;
    this.batch = version.batch;
    const hold = version.hold(() => undefined);
    this.#held = { version, hold, released: false };
    forgotten.register(this, hold, this);
  }

  /**
   * The tree as it was. Throws `VARVE_SNAPSHOT_RELEASED` after `release`, and so do reads of trees
   * that it returned before; `VARVE_TREE_MISMATCH` if the tree had another config then.
   */
  tree<K, V, R>(tree: Tree<K, V, R>): ReadableTree<K, V, R> {
    const core = this.#core;
    const { version } = this.#held;
    const schema = core.handles.schemaOf('tree', tree) as unknown as TreeSchema<K, V, R>;
    // `check` refers to the snapshot, which is not collected while its trees are read.
    const check = (): void => this.#check();
    const root = (): TreeRoot => {
      check();
      const record = treeOf(version.record(schema.name));
      if (record === undefined) return emptyRoot;
      checkConfig(schema.name, record.config, schema.config);
      return record.main;
    };
    root();
    const hold = (): Hold => version.hold(check);
    return new TreeReads(schema, { nodes: version.nodes, root, hold, holdBriefly: hold });
  }

  #check(): void {
    this.#core.checkOpen();
    if (!this.#held.released) return;
    throw new VarveError('VARVE_SNAPSHOT_RELEASED', 'the snapshot has been released');
  }

  /** Releases the state that it holds. Further calls do nothing. */
  release(): void {
    this.#held.released = true;
    this.#held.hold.release();
    forgotten.unregister(this);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
