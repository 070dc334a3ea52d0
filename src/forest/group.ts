/**
 * The transactions that share a commit, and the commit they share.
 *
 * Invariant: a group is made of transactions that have ended well, in their order; what it stores
 * is the state that the last of them left. A node that several of them changed is pushed once.
 */

import { isVarveError } from '../errors.ts';
import type { BatchId, GrainId, Session, Store } from '../index.ts';
import { storeNodes } from './edit.ts';
import { nameKey, type VersionRoots } from './forest-version.ts';
import type { NodeRef, TreeRoot, TreeShape } from './node.ts';
import type { NodeStore } from './node-store.ts';
import { TreeEditor } from './tree-editor.ts';
import {
  encodeForest,
  encodeForestRoot,
  encodeRecord,
  type ForestLimits,
  historyShapeOf,
  shapeOf,
  type TreeRecord,
} from './tree-record.ts';

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
  nextOwner(): number;
}

export class Group {
  readonly members: Member[] = [];
  /** Who failed while this was being committed, and why, unless the commit fails. */
  readonly doubtful: { readonly reject: Member['reject']; readonly error: unknown }[] = [];
  /** The trees that the group changes, as it leaves them; undefined where it drops one. */
  readonly changed = new Map<string, TreeRecord | undefined>();
  /** Nodes that it replaces or drops; some were never stored. */
  readonly gone: NodeRef[] = [];
  readonly goneValues: GrainId[] = [];
  /** Values of the user's that it archives, and the sessions that hold them for it. */
  readonly archives = new Set<GrainId>();
  readonly claims: Session[] = [];
  /** Values of the user's that it pushes. */
  readonly pushed = new Set<GrainId>();
  /** What a transaction under way had pushed when the group was committed. */
  readonly taken = new Set<GrainId>();
  /** Nodes that it has pushed. */
  readonly stored: NodeRef[] = [];
  readonly #home: GroupHome;
  #session: Session | undefined;

  constructor(home: GroupHome) {
    this.#home = home;
  }

  get session(): Session {
    this.#session ??= this.#home.store.session();
    return this.#session;
  }

  /** Nothing of it needs a commit. */
  get isEmpty(): boolean {
    return this.#session === undefined && this.changed.size === 0 && this.archives.size === 0;
  }

  /** A value that it has pushed, as long as its commit is under way. */
  get(id: GrainId): Uint8Array | undefined {
    try {
      return this.#session?.get(id);
    } catch (error) {
      if (isVarveError(error, 'VARVE_SESSION_ENDED')) return undefined;
      throw error;
    }
  }

  /** Gives back what was pushed: the group comes to nothing. */
  abandon(): void {
    this.#session?.abandon();
    for (const claim of this.claims) claim.abandon();
  }

  /**
   * Pushes what is new, archives what is gone and names the new root. Gives the roots that the
   * commit makes the present ones.
   */
  prepare(before: VersionRoots, shares: TreeRoot, pending: readonly GrainId[]): VersionRoots {
    const { nodes, store, catalogShape, sharesShape } = this.#home;
    for (const record of this.changed.values()) if (record !== undefined) this.#storeTree(record);
    const catalog = this.#changeCatalog(before.catalog);
    this.#store(catalog.ref, catalogShape);
    this.#store(shares.ref, sharesShape);
    const roots: VersionRoots = { catalog, shares, pending };
    const plain = encodeForest({ ...roots, nextSeal: nodes.nextSeal });
    const root = encodeForestRoot(nodes.vault?.name ?? '', nodes.seal('forest', 0, plain));
    const replaced = store.embeddedHeader;
    this.session.setEmbeddedHeader(this.session.push(root));
    if (replaced !== undefined) this.session.archive(replaced);
    this.#archive();
    return roots;
  }

  #store(ref: NodeRef | undefined, shape: TreeShape): void {
    if (ref === undefined || ref.stored) return;
    const pushed = storeNodes(this.#home.nodes, this.session, ref, shape);
    for (const one of pushed) this.stored.push(one);
  }

  #storeTree({ config, main, history }: TreeRecord): void {
    const { limits } = this.#home;
    this.#store(main.ref, shapeOf(config, limits));
    this.#store(history.ref, historyShapeOf(config, limits));
  }

  #changeCatalog(before: TreeRoot): TreeRoot {
    const { nodes, catalogShape } = this.#home;
    const owner = this.#home.nextOwner();
    const gone = (ref: NodeRef): unknown => this.gone.push(ref);
    const edit = { owner, replaced: gone, released: gone, releasedLong: () => undefined };
    const catalog = new TreeEditor(nodes, catalogShape, before, edit);
    for (const [name, record] of this.changed) {
      const key = nameKey(name);
      if (record === undefined) catalog.delete(key);
      else {
        const value = encodeRecord(record);
        catalog.put(key, value, value.length * 2);
      }
    }
    return catalog.root;
  }

  #archive(): void {
    for (const claim of this.claims) claim.abandon();
    for (const ref of this.gone) if (ref.stored) this.session.archive(ref.id);
    for (const id of this.goneValues) this.session.archive(id);
    for (const id of this.archives) this.session.archive(id);
  }
}
