/**
 * Does the changes again, when a forest is opened, that its roots tell and no node has.
 *
 * Invariant: the trees are as the last commit left them, in memory; nothing is written. Where a
 * tree's nodes are damaged its changes are kept as they are, and the other trees are not concerned.
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
  /** The record that the stored catalog has. */
  record(name: string): TreeRecord | undefined;
  nextOwner(): number;
}

export class Replay {
  readonly records = new Map<string, TreeRecord | undefined>();
  /** Trees whose changes could not be done again, and why. */
  readonly stuck = new Map<string, VarveError>();
  readonly gone: NodeRef[] = [];
  /** Memory that those took. */
  goneBytes = 0;
  readonly goneValues: GrainId[] = [];
  shares: TreeRoot;
  readonly #home: ReplayHome;

  /** Throws `VARVE_IO` where the store cannot be read. */
  constructor(home: ReplayHome, { shares }: StoredRoots, changes: readonly TreeChanges[]) {
    this.#home = home;
    this.shares = shares;
    const logs = new Map<string, Uint8Array[]>();
    for (const { tree, log } of changes) {
      const known = logs.get(tree);
      if (known === undefined) logs.set(tree, [log]);
      else known.push(log);
    }
    // Trees share nodes: how often each is shared does not depend on which is changed first.
    for (const [name, all] of logs) this.#tree(name, all);
  }

  #tree(name: string, logs: readonly Uint8Array[]): void {
    const { nodes, limits, sharesShape } = this.#home;
    const refuse = (): never => {
      throw corrupt('a change that a root tells pushes a value');
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
        open.doAgain(log);
        // Nobody reads the nodes as they were: their memory is for those to come. What is in memory
        // only another tree's changes have left, and it is needed where this one's come to nothing.
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
