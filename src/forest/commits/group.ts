/**
 * The transactions that share a commit, and its session.
 *
 * Invariants:
 * - A group has only transactions that ended well, in their order.
 * - A node that several of them changed is pushed once.
 * - If the session withdraws a pushed node, its reference forgets the id at once. The grains are
 *   free, while older states may still hold the node in memory.
 *
 * `CommitPreparation` pushes nodes and the root into the session, `GroupCommits` commits it.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { BatchId, GrainId, Session, Store } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { ChangeLog } from '../journal/change-log.ts';
import type { RootLink, TreeChanges } from '../journal/forest-root.ts';
import type { JournalEntry } from '../journal/journal.ts';
import type { NodeRef } from '../nodes/node.ts';
import { adoptedValue, type ForestSessionWork } from '../sessions/session-work.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import { Garbage } from '../trees/garbage.ts';
import type { Rewrite } from '../trees/tree-editor.ts';
import type { TreeRecord } from '../trees/tree-record.ts';

/** A caller that waits for the commit. */
export interface Waiter {
  resolve(batch: BatchId): void;
  reject(error: unknown): void;
}

export class Group implements JournalEntry {
  readonly waiters: Waiter[] = [];
  /**
   * Transactions that failed while this group was in flight. They are rejected with `error` or, if
   * the commit fails, with the commit's error.
   */
  readonly doubtful: { readonly reject: Waiter['reject']; readonly error: unknown }[] = [];
  /** The records that the group leaves in the trees it changes; undefined if it removes one. */
  readonly changed = new Map<string, TreeRecord | undefined>();
  /** The trees whose entries it changes: listeners hear of these alone. */
  readonly named = new Set<string>();
  readonly garbage = new Garbage();
  /** Stores nodes of the catalog anew. */
  catalogRewrite: Rewrite | undefined;
  /** The logs of its transactions, tree by tree. */
  readonly logs: TreeChanges[] = [];
  logBytes = 0;
  /** Puts and deletes in these logs. */
  changes = 0;
  /** User values that it archives, and the sessions that claim them until then. */
  readonly archives = new Set<GrainId>();
  readonly claims: Session[] = [];
  /** User values that it pushes or has adopted. */
  readonly pushed = new Set<GrainId>();
  /** Sessions that its transactions adopted and that its own session has yet to take. */
  readonly #adopted: ForestSessionWork[] = [];
  /** Values that a running transaction had pushed when the commit was prepared. */
  readonly taken = new Set<GrainId>();
  /** Nodes that it has pushed. */
  readonly stored = new Set<NodeRef>();
  readonly #store: Store;
  #session: Session | undefined;
  /** Its logs lack some changes. */
  #logsLackChanges = false;
  #archived = 0;
  #root: RootLink | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  get session(): Session {
    this.#session ??= this.#store.session();
    return this.#session;
  }

  /** Nothing of it needs a commit. */
  get isEmpty(): boolean {
    if (this.#session !== undefined || this.needsNodes || this.hasAdopted) return false;
    return this.changed.size === 0 && this.archives.size === 0;
  }

  get needsNodes(): boolean {
    return this.#logsLackChanges || this.stored.size > 0;
  }

  requireNodes(): void {
    this.#logsLackChanges = true;
  }

  /** Takes in a successful transaction. If a reducer throws, nothing has changed. */
  join(tx: TransactionScope): void {
    for (const { name, left, log, changed } of tx.changed()) {
      this.#change(name, left, log);
      if (changed) this.named.add(name);
    }
    if (tx.needsNodes) this.requireNodes();
    this.catalogRewrite = tx.catalogRewrite ?? this.catalogRewrite;
    this.garbage.add(tx.edit.garbage);
    if (tx.archives.size > 0) for (const id of tx.archives) this.archives.add(id);
    if (tx.pushed.size > 0) for (const id of tx.pushed) this.pushed.add(id);
    if (tx.claim !== undefined) this.claims.push(tx.claim);
    for (const work of tx.adopted) {
      if (work.isEmpty) work.giveUp();
      else this.#adopted.push(work);
    }
  }

  /** Sessions wait for `takeAdopted`. */
  get hasAdopted(): boolean {
    return this.#adopted.length > 0;
  }

  /** Moves the work of adopted sessions into its own: the commit makes it durable. */
  takeAdopted(): void {
    for (let work = this.#adopted[0]; work !== undefined; work = this.#adopted[0]) {
      // If it throws, the commit fails and `abandon` gives up all that are left.
      this.session.adopt(work.session);
      this.#archived += work.archived;
      this.#adopted.shift();
    }
  }

  #change(tree: string, record: TreeRecord | undefined, { bytes, count }: ChangeLog): void {
    this.changed.set(tree, record);
    if (bytes === undefined) {
      this.requireNodes();
      return;
    }
    this.logs.push({ tree, log: bytes });
    this.logBytes += bytes.length;
    this.changes += count;
  }

  /**
   * A value that it has pushed, while its commit is in flight. Throws `VARVE_IO` and
   * `VARVE_POISONED` if the commit has failed.
   */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    try {
      return adoptedValue(this.#adopted, id) ?? this.#session?.get(id);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_SESSION_ENDED')) throw error;
      this.#checkNotLost();
      return undefined;
    }
  }

  /** The session of a failed commit ends a few microtasks before the forest knows of it. */
  #checkNotLost(): void {
    if (this.#root === undefined || this.#store.has(this.#root.id)) return;
    // A poisoned store says so here.
    this.#store.session().abandon();
    const message =
      'the commit that this transaction stands on has failed, and what it stored is gone';
    throw new VarveError('VARVE_IO', message);
  }

  /** Pushes the forest's new root, sealed under `seal`. */
  pushRoot(bytes: Uint8Array, seal: number): void {
    assert(this.#root === undefined, 'a group pushes one root');
    const id = this.session.push(bytes);
    this.session.setEmbeddedHeader(id);
    this.#root = { id, seal };
  }

  /** The root that it has pushed. */
  get root(): RootLink | undefined {
    return this.#root;
  }

  archive(id: GrainId): void {
    this.session.archive(id);
    this.#archived += 1;
  }

  /** Number of values that it has archived. */
  get archived(): number {
    return this.#archived;
  }

  /**
   * Called when a transaction that pushed nodes fails: the nodes are in memory only from now on.
   * Returns the ids that the session must withdraw, except those in `own`.
   */
  withdraw(nodes: readonly NodeRef[], own: ReadonlySet<GrainId>): GrainId[] {
    const ids: GrainId[] = [];
    for (const ref of nodes) {
      // Nodes that an earlier group pushed are part of that group's state.
      if (!this.stored.delete(ref)) continue;
      if (!own.has(ref.id)) ids.push(ref.id);
      ref.unstore();
    }
    return ids;
  }

  /** Withdraws everything that was pushed: the commit failed. */
  abandon(): void {
    // Some are nodes of the durable state, which are in memory only.
    for (const ref of this.stored) ref.unstore();
    this.#session?.abandon();
    for (const claim of this.claims) claim.abandon();
    for (const work of this.#adopted) work.giveUp();
  }
}
