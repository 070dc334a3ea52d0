/**
 * The transactions that share a commit, and that commit.
 *
 * Invariants:
 * - A group has only transactions that ended well, in their order.
 * - It stores the state that the last of them left, as nodes or as logged changes.
 * - A node that several of them changed is pushed once.
 * - If the session withdraws a pushed node, its reference forgets the id at once. The grains are
 *   free, while older states may still hold the node in memory.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { BatchId, GrainId, Session, Store } from '../../index.ts';
import type { ChangeLog } from '../journal/change-log.ts';
import type { ForestRoot, RootLink, RootWriter, TreeChanges } from '../journal/forest-root.ts';
import type { Journal, JournalEntry, Place, StoredRoots } from '../journal/journal.ts';
import type { NodeRef, TreeRoot, TreeShape } from '../nodes/node.ts';
import type { NodeSource, NodeStore } from '../nodes/node-store.ts';
import { nameKey } from '../trees/catalog.ts';
import { storeNodes } from '../trees/edit.ts';
import { TreeEditor } from '../trees/tree-editor.ts';
import {
  encodeRecord,
  type ForestLimits,
  historyShapeOf,
  shapeOf,
  type TreeRecord,
} from '../trees/tree-record.ts';
import type { VersionRoots } from './forest-version.ts';

/** A caller that waits for the commit. */
export interface Waiter {
  resolve(batch: BatchId): void;
  reject(error: unknown): void;
}

/** The parts of the forest that all groups share. */
export interface GroupHome {
  readonly store: Store;
  readonly nodes: NodeStore;
  readonly limits: ForestLimits;
  readonly catalogShape: TreeShape;
  readonly sharesShape: TreeShape;
  readonly journal: Journal;
  readonly rootWriter: RootWriter;
  nextOwner(): number;
}

/** The state that a group leaves. */
export interface GroupState {
  readonly shares: TreeRoot;
  /** Values that the running transaction has pushed. */
  readonly pending: readonly GrainId[];
  record(name: string): TreeRecord | undefined;
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
  /** Nodes that it replaces or drops; some were never stored. */
  readonly gone: NodeRef[] = [];
  goneBytes = 0;
  readonly goneValues: GrainId[] = [];
  #goneValueBytes = 0;
  #goneValuesMeasured = 0;
  /** Values of failed transactions that may be in the file: this commit archives them. */
  readonly leftOver: GrainId[] = [];
  /** The logs of its transactions, tree by tree. */
  readonly logs: TreeChanges[] = [];
  logBytes = 0;
  /** Puts and deletes in these logs. */
  changes = 0;
  /** Its nodes must be written: the logs are incomplete. */
  needsNodes = false;
  /** User values that it archives, and the sessions that claim them until then. */
  readonly archives = new Set<GrainId>();
  readonly claims: Session[] = [];
  /** User values that it pushes. */
  readonly pushed = new Set<GrainId>();
  /** Values that a running transaction had pushed when the commit was prepared. */
  readonly taken = new Set<GrainId>();
  /** Nodes that it has pushed. */
  readonly stored = new Set<NodeRef>();
  readonly #home: GroupHome;
  #session: Session | undefined;
  /** Number of values that it has archived. */
  archived = 0;
  /** The root that it has pushed. */
  #root: RootLink | undefined;
  /** Set if the root logs its changes; undefined if it writes nodes. */
  #place: Place | undefined;

  constructor(home: GroupHome) {
    this.#home = home;
  }

  get session(): Session {
    this.#session ??= this.#home.store.session();
    return this.#session;
  }

  /** Nothing of it needs a commit. */
  get isEmpty(): boolean {
    if (this.#session !== undefined || this.needsNodes) return false;
    return this.changed.size === 0 && this.archives.size === 0;
  }

  /**
   * Notes the record that a transaction leaves. `log` has the changes; without bytes it is
   * incomplete.
   */
  change(tree: string, record: TreeRecord | undefined, { bytes, count }: ChangeLog): void {
    this.changed.set(tree, record);
    if (bytes === undefined) {
      this.needsNodes = true;
      return;
    }
    this.logs.push({ tree, log: bytes });
    this.logBytes += bytes.length;
    this.changes += count;
  }

  /** The group's trees no longer reach the node. */
  lose(ref: NodeRef): void {
    this.gone.push(ref);
    this.goneBytes += ref.node?.memoryBytes ?? 0;
  }

  /** Bytes in the file of the values that it replaces. Requires: no commit is in flight. */
  get goneValueBytes(): number {
    const from = this.#goneValuesMeasured;
    this.#goneValuesMeasured = this.goneValues.length;
    this.#goneValueBytes += bytesOf(this.#home.store, this.goneValues.slice(from));
    return this.#goneValueBytes;
  }

  /** Its root logs its changes, and its nodes stay in memory. */
  get isTold(): boolean {
    return this.stored.size === 0 && this.#isHeader && this.#home.journal.takes(this);
  }

  /** The store's embedded header still names the newest root: no other user has replaced it. */
  get #isHeader(): boolean {
    const { journal, store } = this.#home;
    return journal.roots.at(-1)?.id === store.embeddedHeader;
  }

  /**
   * A value that it has pushed, while its commit is in flight. Throws `VARVE_IO` and
   * `VARVE_POISONED` if the commit has failed.
   */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    try {
      return this.#session?.get(id);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_SESSION_ENDED')) throw error;
      this.#checkNotLost();
      return undefined;
    }
  }

  /** The session of a failed commit ends a few microtasks before the forest knows of it. */
  #checkNotLost(): void {
    const { store } = this.#home;
    if (this.#root === undefined || store.has(this.#root.id)) return;
    // A poisoned store says so here.
    store.session().abandon();
    const message =
      'the commit that this transaction stands on has failed, and what it stored is gone';
    throw new VarveError('VARVE_IO', message);
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
  }

  /**
   * Pushes new nodes, archives replaced ones and sets the new root, in steps. Returns the roots
   * that are current once the commit is durable. The first step captures the whole state.
   */
  *prepare(state: GroupState): Generator<void, VersionRoots> {
    const { journal } = this.#home;
    const { shares, pending } = state;
    let { stored } = journal;
    this.#place = this.isTold ? journal.place(this) : undefined;
    if (this.#place === undefined) stored = { catalog: yield* this.#storeAll(state), shares };
    this.#pushRoot(stored, pending);
    yield* this.#archiveAll();
    return { catalog: stored.catalog, shares, pending };
  }

  /** Enters the durable commit in the journal. */
  enter({ catalog, shares }: VersionRoots): void {
    const { journal } = this.#home;
    const root = this.#root as RootLink;
    if (this.#place === undefined) journal.written({ catalog, shares }, root);
    else journal.told(this, this.#place, root);
  }

  /** Pushes all nodes that are not stored, also those of earlier groups. Returns the catalog. */
  *#storeAll({ shares, record }: GroupState): Generator<void, TreeRoot> {
    const { journal, catalogShape, sharesShape } = this.#home;
    const records = new Map<string, TreeRecord | undefined>();
    for (const name of journal.trees) records.set(name, record(name));
    for (const [name, changed] of this.changed) records.set(name, changed);
    for (const one of records.values()) if (one !== undefined) yield* this.#storeTree(one);
    const catalog = this.#changeCatalog(journal.stored.catalog, records);
    yield* this.#store(catalog.ref, catalogShape);
    yield* this.#store(shares.ref, sharesShape);
    return catalog;
  }

  #pushRoot(stored: StoredRoots, pending: readonly GrainId[]): void {
    const { nodes, journal } = this.#home;
    const seal = nodes.takeSeal();
    const { nextSeal } = nodes;
    const { depth = 0, earlier, changes = journal.kept } = this.#place ?? {};
    const root: ForestRoot = { ...stored, nextSeal, pending, depth, earlier, changes };
    const id = this.session.push(this.#home.rootWriter.encode(root, seal));
    this.session.setEmbeddedHeader(id);
    this.#root = { id, seal };
  }

  *#store(ref: NodeRef | undefined, shape: TreeShape): Generator<void> {
    if (ref === undefined) return;
    for (const one of storeNodes(this.#home.nodes, this.session, ref, shape)) {
      this.stored.add(one);
      yield;
    }
  }

  *#storeTree({ config, main, history }: TreeRecord): Generator<void> {
    const { limits } = this.#home;
    yield* this.#store(main.ref, shapeOf(config, limits));
    yield* this.#store(history.ref, historyShapeOf(config, limits));
  }

  #changeCatalog(before: TreeRoot, records: ReadonlyMap<string, TreeRecord | undefined>): TreeRoot {
    const { nodes, catalogShape } = this.#home;
    const owner = this.#home.nextOwner();
    const gone = (ref: NodeRef): void => this.lose(ref);
    const edit = { owner, replaced: gone, released: gone, releasedLong: () => undefined };
    const catalog = new TreeEditor(nodes, catalogShape, before, edit);
    for (const [name, record] of records) {
      const key = nameKey(name);
      if (record === undefined) catalog.delete(key);
      else {
        const value = encodeRecord(record);
        catalog.put(key, value, value.length * 2);
      }
    }
    return catalog.root;
  }

  *#archiveAll(): Generator<void> {
    // Without a step in between: no other session may claim a user's value before it is archived.
    for (const claim of this.claims) claim.abandon();
    for (const id of [...this.archives]) this.#archiveUsers(id);
    const { store } = this.#home;
    for (const id of this.leftOver) if (store.has(id)) this.#archive(id);
    if (this.#place !== undefined) {
      for (const { id } of this.#place.replaced) this.#archive(id);
      return;
    }
    const { journal } = this.#home;
    for (const { id } of this.#replacedRoots()) this.#archive(id);
    for (const one of [journal, this]) {
      for (const ref of one.gone) {
        if (ref.stored) this.#archiveNode(ref);
        yield;
      }
      for (const id of one.goneValues) {
        this.#archive(id);
        yield;
      }
    }
  }

  /**
   * Archives a user's value. If this group pushed it, it is withdrawn and its id can be given
   * again.
   */
  #archiveUsers(id: GrainId): void {
    this.#archive(id);
    if (this.pushed.delete(id)) this.archives.delete(id);
  }

  /**
   * Archives a node. If this group pushed it, it is withdrawn and in memory only again. Older
   * states may hold it from the time before it was pushed.
   */
  #archiveNode(ref: NodeRef): void {
    this.#archive(ref.id);
    if (this.stored.delete(ref)) ref.unstore();
  }

  #replacedRoots(): readonly Pick<RootLink, 'id'>[] {
    const { journal, store } = this.#home;
    if (this.#isHeader) return journal.roots;
    // Another user replaced the newest root in the embedded header and archived it: archive that
    // user's value instead.
    const own = journal.roots.slice(0, -1);
    return store.embeddedHeader === undefined ? own : [...own, { id: store.embeddedHeader }];
  }

  #archive(id: GrainId): void {
    this.session.archive(id);
    this.archived += 1;
  }
}

/**
 * Approximate bytes of these values in the file. A value that is missing or unreadable counts 0.
 */
export function bytesOf(source: NodeSource, ids: readonly GrainId[]): number {
  let bytes = 0;
  for (const id of ids) {
    try {
      bytes += source.lengthOf(id) ?? 0;
    } catch (error) {
      // An estimate only: archiving the value reports the error.
      if (!isVarveError(error)) throw error;
    }
  }
  return bytes;
}
