/**
 * The parts of an open forest that all who read or change its trees share.
 *
 * Invariant: nothing of it is ever replaced. A reader beside a writer makes a new context, with
 * nodes of its own, for each batch that it moves on to. It holds no state of the trees.
 */

import type { Store } from '../../index.ts';
import type { TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { Losses } from './garbage.ts';
import type { TreeHandles } from './tree-handles.ts';
import { catalogConfig, type ForestLimits, shapeOf, sharesConfig } from './tree-record.ts';

export class ForestContext {
  readonly store: Store;
  readonly nodes: NodeStore;
  readonly limits: ForestLimits;
  readonly handles: TreeHandles;
  readonly catalogShape: TreeShape;
  readonly sharesShape: TreeShape;
  readonly losses = new Losses();
  #owners = 0;

  constructor(store: Store, nodes: NodeStore, limits: ForestLimits, handles: TreeHandles) {
    this.store = store;
    this.nodes = nodes;
    this.limits = limits;
    this.handles = handles;
    this.catalogShape = shapeOf(catalogConfig, limits);
    this.sharesShape = shapeOf(sharesConfig, limits);
  }

  /** A number that no edit of these nodes had before. */
  nextOwner(): number {
    this.#owners += 1;
    return this.#owners;
  }
}
