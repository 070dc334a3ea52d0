/**
 * Replays the changes that the forest's roots log and that no stored node has.
 *
 * Invariant: afterwards the trees in memory are as the last commit left them; nothing is written.
 * If a tree's nodes are damaged, its log is kept as it is; other trees are not affected.
 */

import { corrupt, isVarveError, type VarveError } from '../../errors.ts';
import type { TreeChanges } from '../journal/forest-root.ts';
import type { StoredRoots } from '../journal/journal.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
import { OpenTree } from '../transactions/open-tree.ts';
import { findRecord } from '../trees/catalog.ts';
import { Edit } from '../trees/edit.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { Garbage } from '../trees/garbage.ts';
import type { TreeRecord } from '../trees/tree-record.ts';

export class Replay {
  readonly records = new Map<string, TreeRecord | undefined>();
  /** Trees whose changes could not be replayed, with the error. */
  readonly stuck = new Map<string, VarveError>();
  /** Stored nodes and values that the replayed trees do not reach. */
  readonly garbage = new Garbage();
  readonly #context: ForestContext;
  readonly #catalog: TreeRoot;
  #shares: TreeRoot;

  /** Throws `VARVE_IO` if the store cannot be read. */
  constructor(context: ForestContext, stored: StoredRoots, changes: readonly TreeChanges[]) {
    this.#context = context;
    this.#catalog = stored.catalog;
    this.#shares = stored.shares;
    const logs = new Map<string, Uint8Array[]>();
    for (const { tree, log } of changes) {
      const known = logs.get(tree);
      if (known === undefined) logs.set(tree, [log]);
      else known.push(log);
    }
    // Trees may share nodes, but the counts of their referents do not depend on the order of trees.
    for (const [name, all] of logs) this.#tree(name, all);
  }

  /** The shares as the replay leaves them. */
  get shares(): TreeRoot {
    return this.#shares;
  }

  #tree(name: string, logs: readonly Uint8Array[]): void {
    const { nodes, limits, catalogShape } = this.#context;
    const refuse = (): never => {
      throw corrupt('a change that a forest root logs would push a value');
    };
    const start = { shares: this.#shares, session: refuse, stored: refuse };
    const edit = new Edit(this.#context, start);
    const { garbage } = edit;
    try {
      const open = new OpenTree(
        name,
        edit,
        limits,
        findRecord(nodes, catalogShape, this.#catalog, name),
      );
      let forgotten = 0;
      for (const log of logs) {
        open.replayChanges(log);
        // No one reads the state before, so the memory of replaced nodes is reused. Nodes that are
        // in memory only come from another tree's replay (nodes of the shares), and stay current if
        // this one fails.
        for (; forgotten < garbage.nodes.length; forgotten++) {
          const ref = garbage.nodes[forgotten] as NodeRef;
          if (ref.stored) nodes.forget(ref);
        }
      }
      this.records.set(name, open.record);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT') && !isVarveError(error, 'VARVE_VAULT')) throw error;
      this.stuck.set(name, error);
      return;
    }
    this.#shares = edit.sharesRoot;
    this.garbage.addStored(garbage);
  }
}
