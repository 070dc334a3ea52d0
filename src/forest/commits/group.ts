/**
 * The transactions that share a commit, and the commit they share.
 *
 * Invariant: a group is made of transactions that have ended well, in their order; what it stores
 * is the state that the last of them left: as nodes, or as what they changed. A node that several
 * of them changed is pushed once. An id that the session withdraws is forgotten at once, by the
 * node's reference too: its grains are free, and older states may still hold the node itself.
 */

import { isVarveError } from '../../errors.ts';
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

/** Who waits for the commit. */
export interface Member {
  resolve(batch: BatchId): void;
  reject(error: unknown): void;
}

/** What all groups of a forest have in common. */
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
  /** What a transaction under way has pushed. */
  readonly pending: readonly GrainId[];
  record(name: string): TreeRecord | undefined;
}

export class Group implements JournalEntry {
  readonly members: Member[] = [];
  /** Who failed while this was being committed, and why, unless the commit fails. */
  readonly doubtful: { readonly reject: Member['reject']; readonly error: unknown }[] = [];
  /** The trees that the group changes, as it leaves them; undefined where it drops one. */
  readonly changed = new Map<string, TreeRecord | undefined>();
  /** Nodes that it replaces or drops; some were never stored. */
  readonly gone: NodeRef[] = [];
  goneBytes = 0;
  readonly goneValues: GrainId[] = [];
  #goneValueBytes = 0;
  #goneValuesMeasured = 0;
  /** Values that may be in the file and were never part of any state that has ended well. */
  readonly leftOver: GrainId[] = [];
  /** What its transactions did to the entries of trees. */
  readonly logs: TreeChanges[] = [];
  logBytes = 0;
  /** Puts and deletes in these logs. */
  changes = 0;
  /** It is to be stored as nodes: the logs do not tell all of it. */
  needsNodes = false;
  /** Values of the user's that it archives, and the sessions that hold them for it. */
  readonly archives = new Set<GrainId>();
  readonly claims: Session[] = [];
  /** Values of the user's that it pushes. */
  readonly pushed = new Set<GrainId>();
  /** What a transaction under way had pushed when the group was committed. */
  readonly taken = new Set<GrainId>();
  /** Nodes that it has pushed. */
  readonly stored = new Set<NodeRef>();
  readonly #home: GroupHome;
  #session: Session | undefined;
  /** Values that it has archived. */
  archived = 0;
  /** The root that it has pushed. */
  #root: RootLink | undefined;
  /** Where its changes are told; undefined where it writes nodes. */
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

  /** A tree is left in this state; `log` tells how it came to be, unless it cannot. */
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

  /** The trees have no use for the node any more. */
  lose(ref: NodeRef): void {
    this.gone.push(ref);
    this.goneBytes += ref.node?.memoryBytes ?? 0;
  }

  /** Bytes in the file of the values that it replaces. To be asked while no commit is in flight. */
  get goneValueBytes(): number {
    const from = this.#goneValuesMeasured;
    this.#goneValuesMeasured = this.goneValues.length;
    this.#goneValueBytes += bytesOf(this.#home.store, this.goneValues.slice(from));
    return this.#goneValueBytes;
  }

  /** Its changes are told in its root, and its nodes stay in memory. */
  get isTold(): boolean {
    return this.stored.size === 0 && this.#isHeader && this.#home.journal.takes(this);
  }

  /** The newest root is what the store's embedded header names: nobody else has changed it. */
  get #isHeader(): boolean {
    const { journal, store } = this.#home;
    return journal.roots.at(-1)?.id === store.embeddedHeader;
  }

  /** A value that it has pushed, as long as its commit is under way. */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    try {
      return this.#session?.get(id);
    } catch (error) {
      if (isVarveError(error, 'VARVE_SESSION_ENDED')) return undefined;
      throw error;
    }
  }

  /**
   * A transaction that has pushed nodes fails: they are in memory only from now on. Gives the ids
   * that the session is to withdraw, those of `own` apart.
   */
  withdraw(nodes: readonly NodeRef[], own: ReadonlySet<GrainId>): GrainId[] {
    const ids: GrainId[] = [];
    for (const ref of nodes) {
      // Those that were pushed into a group before this one are part of its state.
      if (!this.stored.delete(ref)) continue;
      if (!own.has(ref.id)) ids.push(ref.id);
      ref.unstore();
    }
    return ids;
  }

  /** Gives back what was pushed: the group comes to nothing. */
  abandon(): void {
    // Nodes may be those of the durable state, which have not been stored so far.
    for (const ref of this.stored) ref.unstore();
    this.#session?.abandon();
    for (const claim of this.claims) claim.abandon();
  }

  /**
   * Pushes what is new, archives what is gone and names the new root, in steps. Gives the roots
   * that the commit makes the present ones. The first step takes in all of the state.
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

  /** It is durable: the journal says so. */
  enter({ catalog, shares }: VersionRoots): void {
    const { journal } = this.#home;
    const root = this.#root as RootLink;
    if (this.#place === undefined) journal.written({ catalog, shares }, root);
    else journal.told(this, this.#place, root);
  }

  /** All nodes that are not stored yet, those of groups before it too; gives the catalog. */
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
    // In one step: nobody else may claim the user's values in between.
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

  /** A value of the user's: one that this group pushed is withdrawn, and its id may come again. */
  #archiveUsers(id: GrainId): void {
    this.#archive(id);
    if (this.pushed.delete(id)) this.archives.delete(id);
  }

  /**
   * A node that this group has pushed is withdrawn. Older states may hold the node, which was in
   * memory only when they began: then it is so again.
   */
  #archiveNode(ref: NodeRef): void {
    this.#archive(ref.id);
    if (this.stored.delete(ref)) ref.unstore();
  }

  #replacedRoots(): readonly Pick<RootLink, 'id'>[] {
    const { journal, store } = this.#home;
    if (this.#isHeader) return journal.roots;
    // Whoever has put another value in the place of the newest root has seen to that one.
    const own = journal.roots.slice(0, -1);
    return store.embeddedHeader === undefined ? own : [...own, { id: store.embeddedHeader }];
  }

  #archive(id: GrainId): void {
    this.session.archive(id);
    this.archived += 1;
  }
}

/** Bytes that these values have in the file, about: 0 for one that is not there or is not read. */
export function bytesOf(source: NodeSource, ids: readonly GrainId[]): number {
  let bytes = 0;
  for (const id of ids) {
    try {
      bytes += source.lengthOf(id) ?? 0;
    } catch (error) {
      // An estimate: whoever archives the value says what is wrong with it.
      if (!isVarveError(error)) throw error;
    }
  }
  return bytes;
}
