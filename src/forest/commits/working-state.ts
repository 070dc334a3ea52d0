/**
 * The state that the next transaction starts from: the durable state plus all changes since.
 *
 * Invariant: it is the state that the last successful transaction left. If a commit fails, it is
 * the durable state again. It runs and commits nothing.
 */

import type { GrainId, Store } from '../../index.ts';
import type { TreeRoot } from '../nodes/node.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { ForestVersion, VersionRoots } from './forest-version.ts';
import type { Group } from './group.ts';

/** The owner of the durable state. */
export interface DurableHome {
  readonly store: Store;
  readonly durable: ForestVersion;
}

export class WorkingState {
  /** Values that a running transaction had pushed when the last commit was prepared. */
  pending: VersionRoots['pending'];
  shares: TreeRoot;
  readonly #home: DurableHome;
  /** Records that are not durable yet; see `OpenTree.left`. */
  readonly #changed = new Map<string, TreeRecord | undefined>();
  /** Values of failed transactions that may be in the file: the next commit archives them. */
  #leftOver: GrainId[];

  constructor(home: DurableHome) {
    this.#home = home;
    this.pending = home.durable.roots.pending;
    this.shares = home.durable.roots.shares;
    this.#leftOver = this.#leftBehind();
  }

  /**
   * Values that a running transaction had pushed when the durable state was committed. Some may be
   * archived by now: `Group` asks the store before it archives one.
   */
  #leftBehind(): GrainId[] {
    return [...(this.#home.durable.roots.pending as readonly GrainId[])];
  }

  record(name: string): TreeRecord | undefined {
    return this.#changed.has(name) ? this.#changed.get(name) : this.#home.durable.record(name);
  }

  /** Adds the changes of a successful transaction to the state and to its group. */
  join(tx: TransactionScope, group: Group): void {
    // A reducer may throw: run it before anything changes.
    const changes = [...tx.changes()];
    for (const { name, left, log } of changes) {
      this.#changed.set(name, left);
      group.change(name, left, log);
    }
    this.shares = tx.edit.sharesRoot;
    for (const ref of tx.edit.gone) group.lose(ref);
    for (const id of tx.edit.goneValues) group.goneValues.push(id);
    for (const id of tx.archives) group.archives.add(id);
    for (const id of tx.pushed) group.pushed.add(id);
    if (tx.claim !== undefined) group.claims.push(tx.claim);
  }

  /** Drops records that the durable state has now. */
  committed(group: Group): void {
    for (const [name, record] of group.changed) {
      if (this.#changed.get(name) === record) this.#changed.delete(name);
    }
  }

  /** Goes back to the durable state. */
  reset(): void {
    this.#changed.clear();
    this.pending = this.#home.durable.roots.pending;
    this.shares = this.#home.durable.roots.shares;
    this.#leftOver = this.#leftBehind();
  }

  /** No value that only a running or failed transaction knows is in the file. */
  get isClear(): boolean {
    return this.#leftOver.length === 0 && this.pending.length === 0;
  }

  leave(id: GrainId): void {
    this.#leftOver.push(id);
  }

  takeLeftOver(): GrainId[] {
    const ids = this.#leftOver;
    this.#leftOver = [];
    return ids;
  }
}
