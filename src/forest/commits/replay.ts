/**
 * Replays the changes that the forest's roots log and that no stored node has.
 *
 * Invariant: afterwards the trees in memory are as the last commit left them; nothing is written.
 * If a tree's nodes are damaged, its log is kept as it is; other trees are not affected.
 */

import { corrupt, isVarveError, type VarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import type { TreeChanges } from '../journal/forest-root.ts';
import type { StoredRoots } from '../journal/journal.ts';
import type { NodeRef, TreeRoot, TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { OpenTree } from '../transactions/open-tree.ts';
import { Edit } from '../trees/edit.ts';
import type { ForestLimits, TreeRecord } from '../trees/tree-record.ts';

export interface ReplayHome {
  readonly nodes: NodeStore;
  readonly limits: ForestLimits;
  readonly sharesShape: TreeShape;
  /** The record in the stored catalog. */
  record(name: string): TreeRecord | undefined;
  nextOwner(): number;
}

export class Replay {
  readonly records = new Map<string, TreeRecord | undefined>();
  /** Trees whose changes could not be replayed, with the error. */
  readonly stuck = new Map<string, VarveError>();
  readonly gone: NodeRef[] = [];
  /** Bytes of memory that these took. */
  goneBytes = 0;
  readonly goneValues: GrainId[] = [];
  shares: TreeRoot;
  readonly #home: ReplayHome;

  /** Throws `VARVE_IO` if the store cannot be read. */
  constructor(home: ReplayHome, { shares }: StoredRoots, changes: readonly TreeChanges[]) {
    this.#home = home;
    this.shares = shares;
    const logs = new Map<string, Uint8Array[]>();
    for (const { tree, log } of changes) {
      const known = logs.get(tree);
      if (known === undefined) logs.set(tree, [log]);
      else known.push(log);
    }
    // Trees may share nodes, but the counts of their referents do not depend on the order of trees.
    for (const [name, all] of logs) this.#tree(name, all);
  }

  #tree(name: string, logs: readonly Uint8Array[]): void {
    const { nodes, limits, sharesShape } = this.#home;
    const refuse = (): never => {
      throw corrupt('a change that a forest root logs would push a value');
    };
    const edit = new Edit({
      nodes,
      sharesShape,
      shares: this.shares,
      nextOwner: () => this.#home.nextOwner(),
      session: refuse,
      stored: refuse,
    });
    let goneBytes = 0;
    try {
      const open = new OpenTree(name, edit, limits, this.#home.record(name));
      let forgotten = 0;
      for (const log of logs) {
        open.replayChanges(log);
        // No one reads the state before, so the memory of replaced nodes is reused. Nodes that are
        // in memory only come from another tree's replay (nodes of the shares), and stay current if
        // this one fails.
        for (; forgotten < edit.gone.length; forgotten++) {
          const ref = edit.gone[forgotten] as NodeRef;
          goneBytes += ref.node?.memoryBytes ?? 0;
          if (ref.stored) nodes.forget(ref);
        }
      }
      this.records.set(name, open.record);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT') && !isVarveError(error, 'VARVE_VAULT')) throw error;
      this.stuck.set(name, error);
      return;
    }
    this.shares = edit.sharesRoot;
    this.goneBytes += goneBytes;
    for (const ref of edit.gone) if (ref.stored) this.gone.push(ref);
    for (const id of edit.goneValues) this.goneValues.push(id);
  }
}
