/**
 * An open forest of which a test has the parts, so that a compaction can be told what is thin and
 * when to pause.
 *
 * Invariant: the parts are put together as `Forest` does it. Nothing is compacted in the store.
 */

import { ForestWriter } from '../../../src/forest/commits/forest-writer.ts';
import { Freeing } from '../../../src/forest/commits/freeing.ts';
import { CompactWalk } from '../../../src/forest/compact/compact-walk.ts';
import type { RewritePlan } from '../../../src/forest/compact/tree-rewriter.ts';
import { Twins } from '../../../src/forest/compact/twins.ts';
import type { Transaction, Tree } from '../../../src/forest/contract.ts';
import { ForestCore } from '../../../src/forest/forest-core.ts';
import { coreOptions, type ForestOptions } from '../../../src/forest/forest-options.ts';
import type { NodeRef, TreeShape } from '../../../src/forest/nodes/node.ts';
import { ForestSnapshot } from '../../../src/forest/snapshot.ts';
import { ForestTree } from '../../../src/forest/tree.ts';
import type { AnySchema } from '../../../src/forest/trees/tree-handles.ts';
import { type TreeOptions, TreeSchema } from '../../../src/forest/trees/tree-schema.ts';
import { verifyAll } from '../../../src/forest/verify-forest.ts';
import { GrainId, Store } from '../../../src/index.ts';

export class ForestParts {
  readonly core: ForestCore;
  readonly writer: ForestWriter;
  readonly #freeing: Freeing;

  private constructor(store: Store, options: ForestOptions) {
    const settings = coreOptions(options);
    this.core = new ForestCore(store, settings);
    this.#freeing = new Freeing(store, settings.automatic, settings.retention);
    this.writer = new ForestWriter(this.core, this.core.state, this.#freeing);
  }

  static async open(options: ForestOptions): Promise<ForestParts> {
    return new ForestParts(await Store.inMemory(), options);
  }

  tree<K, V, R>(name: string, options: TreeOptions<K, V, R>): Tree<K, V, R> {
    const schema = new TreeSchema(name, options, this.core.state.context.limits);
    const tree = new ForestTree(this.core, this.writer, schema);
    this.core.handles.register(tree, schema as unknown as AnySchema);
    return tree;
  }

  async transaction<T>(body: (tx: Transaction) => T): Promise<T> {
    return (await this.writer.run(body)).result;
  }

  snapshot(): ForestSnapshot {
    return new ForestSnapshot(this.core);
  }

  async findings(): Promise<string[]> {
    const found: string[] = [];
    for await (const { message } of verifyAll(this.core, { deep: true })) found.push(message);
    return found;
  }

  /** One walk of a compaction; `between` runs after each of its transactions. */
  async walk(plan: RewritePlan, between: () => Promise<void>): Promise<void> {
    const twins = new Twins();
    const end = this.core.state.context.losses.listen((id) => twins.lost(id));
    const walk = new CompactWalk(this.core.state, plan, twins);
    try {
      while (!walk.isDone) {
        await this.writer.runAtOnce((tx) => walk.step(tx));
        walk.throwFailure();
        await between();
      }
    } finally {
      end();
    }
  }

  /** Ids of all values that are not archived. Requires: all archived values are freed. */
  storedIds(): GrainId[] {
    const { store } = this.core;
    const ids: GrainId[] = [];
    for (const { basin, stratum, allocated, free } of store.statistics().strata) {
      for (let index = 0; index < allocated + free; index++) {
        const id = GrainId.of(basin, stratum, index);
        if (store.has(id)) ids.push(id);
      }
    }
    return ids;
  }

  /** Ids of the nodes of the shares and of the catalog. Requires: all nodes are written. */
  ownNodes(): GrainId[] {
    const { catalogShape } = this.core.state.context;
    const { catalog } = this.core.state.version.roots;
    return [...this.#nodesOf(catalog.ref, catalogShape), ...this.#sharesNodes()];
  }

  #sharesNodes(): GrainId[] {
    const { context, version } = this.core.state;
    return this.#nodesOf(version.roots.shares.ref, context.sharesShape);
  }

  #nodesOf(ref: NodeRef | undefined, shape: TreeShape): GrainId[] {
    if (ref === undefined) return [];
    const node = this.core.state.context.nodes.load(ref, shape);
    const below = node.leaf ? [] : node.refs.flatMap((child) => this.#nodesOf(child, shape));
    return [ref.id, ...below];
  }

  /** Values of the store without those of the shares, after all nodes have been written. */
  async countValues(): Promise<number> {
    await this.writer.runAtOnce((tx) => {
      tx.needsNodes = true;
    });
    const { store } = this.core;
    await store.checkpointTo(store.currentBatch);
    return store.statistics().values - this.#sharesNodes().length;
  }
}
