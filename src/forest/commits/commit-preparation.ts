/**
 * Prepares the commit of a group: pushes nodes and the root into its session, and archives what
 * they replace.
 *
 * Invariants:
 * - The first step captures the whole state that the group leaves; later ones do not read it again.
 * - Children are pushed before their parents, the root last.
 * - If the session withdraws a pushed node, its reference forgets the id at once (see `Group`).
 *
 * It commits nothing. A caller may leave the event loop its turn between two steps.
 */

import type { GrainId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { ForestRoot } from '../journal/forest-root.ts';
import type { RootPlan, Share, StoredRoots } from '../journal/journal.ts';
import type { NodeRef, TreeRoot, TreeShape } from '../nodes/node.ts';
import { nameKey } from '../trees/catalog.ts';
import { storeNodes } from '../trees/edit.ts';
import { Garbage } from '../trees/garbage.ts';
import { TreeEditor, unsharedEdit } from '../trees/tree-editor.ts';
import { encodeRecord, historyShapeOf, shapeOf, type TreeRecord } from '../trees/tree-record.ts';
import type { DurableState, PreparedCommit } from './durable-state.ts';
import type { Group } from './group.ts';

/** The state that a group leaves, beside its trees. */
export interface LeftState {
  readonly shares: TreeRoot;
  /** Values that the running transaction has pushed. */
  readonly pending: readonly GrainId[];
  /** Values of failed transactions that may be in the file. */
  readonly leftOver: readonly GrainId[];
}

const none: readonly GrainId[] = [];
const noNodes: readonly NodeRef[] = [];

export class CommitPreparation {
  readonly #durable: DurableState;
  readonly #group: Group;
  readonly #plan: RootPlan;
  readonly #left: LeftState;
  /** Replaced nodes of the catalog. */
  readonly #ofCatalog = new Garbage();

  constructor(durable: DurableState, group: Group, plan: RootPlan, left: LeftState) {
    this.#durable = durable;
    this.#group = group;
    this.#plan = plan;
    this.#left = left;
  }

  /**
   * Prepares in one step a commit that pushes its root only and archives nothing, as nearly every
   * small one does. Undefined for others: they take steps.
   */
  inOneStep(): PreparedCommit | undefined {
    const { isLogged, frozen, part } = this.#plan;
    const { archives, claims, stored, hasAdopted } = this.#group;
    const { leftOver, shares, pending } = this.#left;
    const { journal } = this.#durable;
    if (!isLogged || journal.hasUnreached || frozen?.isAt(part) === false) return undefined;
    if (hasAdopted || archives.size + claims.length + leftOver.length > 0) return undefined;
    assert(stored.size === 0, 'a group that pushed nodes writes all');
    const before = journal.stored;
    this.#pushRoot(before, undefined, none);
    const left = { catalog: before.catalog, shares, pending };
    return { left, stored: before, share: undefined, unreached: none, replaced: noNodes };
  }

  *steps(): Generator<void, PreparedCommit> {
    const { shares, pending } = this.#left;
    const share = yield* this.#pushShare();
    const stored = yield* this.#storedRoots(share);
    const unreached = this.#unreachedAfter(share);
    this.#pushRoot(stored, share, unreached);
    yield* this.#archiveAll();
    const left = { catalog: stored.catalog, shares, pending };
    return { left, stored, share, unreached, replaced: this.#ofCatalog.nodes };
  }

  /** Pushes some more nodes of the frozen state. */
  *#pushShare(): Generator<void, Share | undefined> {
    const { frozen, part } = this.#plan;
    if (frozen === undefined) return undefined;
    const { context } = this.#durable;
    const { session, stored } = this.#group;
    yield* frozen.collect(context);
    const count = frozen.countOf(part);
    const written: GrainId[] = [];
    for (const { ref, shape } of frozen.upTo(count)) {
      context.nodes.push(session, ref, shape);
      stored.add(ref);
      written.push(ref.id);
      yield;
    }
    return { count, written, isWhole: frozen.isWhole(count) };
  }

  /** The catalog and the shares that the root names; pushes what they lack. */
  *#storedRoots(share: Share | undefined): Generator<void, StoredRoots> {
    const { journal } = this.#durable;
    const { isLogged, frozen } = this.#plan;
    if (!isLogged) return { catalog: yield* this.#storeAll(), shares: this.#left.shares };
    if (frozen === undefined || share?.isWhole !== true) return journal.stored;
    return { catalog: yield* this.#storeCatalog(frozen.records), shares: frozen.shares };
  }

  /** Pushes all nodes that are not stored, also those of earlier groups. Returns the catalog. */
  *#storeAll(): Generator<void, TreeRoot> {
    const { journal, context } = this.#durable;
    const records = new Map(this.#durable.frozenTrees(journal.trees).records);
    for (const [name, changed] of this.#group.changed) records.set(name, changed);
    for (const one of records.values()) if (one !== undefined) yield* this.#storeTree(one);
    const catalog = yield* this.#storeCatalog(records);
    yield* this.#store(this.#left.shares.ref, context.sharesShape);
    return catalog;
  }

  /** Pushes the catalog with these records. Requires: their trees are stored. */
  *#storeCatalog(records: ReadonlyMap<string, TreeRecord | undefined>): Generator<void, TreeRoot> {
    const catalog = this.#changeCatalog(this.#durable.journal.stored.catalog, records);
    yield* this.#store(catalog.ref, this.#durable.context.catalogShape);
    return catalog;
  }

  *#storeTree({ config, main, history }: TreeRecord): Generator<void> {
    const { limits } = this.#durable.context;
    yield* this.#store(main.ref, shapeOf(config, limits));
    yield* this.#store(history.ref, historyShapeOf(config, limits));
  }

  *#store(ref: NodeRef | undefined, shape: TreeShape): Generator<void> {
    if (ref === undefined) return;
    for (const one of storeNodes(this.#durable.context.nodes, this.#group.session, ref, shape)) {
      this.#group.stored.add(one);
      yield;
    }
  }

  #changeCatalog(before: TreeRoot, records: ReadonlyMap<string, TreeRecord | undefined>): TreeRoot {
    const { context } = this.#durable;
    const owner = context.nextOwner();
    const edit = unsharedEdit({ owner }, (ref) => this.#ofCatalog.addNode(ref));
    const catalog = new TreeEditor(context.nodes, context.catalogShape, before, edit);
    for (const [name, record] of records) {
      const key = nameKey(name);
      if (record === undefined) catalog.delete(key);
      else {
        const value = encodeRecord(record);
        catalog.put(key, value, value.length * 2);
      }
    }
    const { root } = catalog;
    const { nodes, catalogShape: shape } = context;
    return (
      this.#group.catalogRewrite?.({
        nodes,
        shape,
        root,
        owner: edit,
        summarize: () => undefined,
      }) ?? root
    );
  }

  /** The values that nothing reaches and that later commits archive. */
  #unreachedAfter(share: Share | undefined): readonly GrainId[] {
    const { journal } = this.#durable;
    const { later } = journal.unreached(this.#plan);
    const { frozen } = this.#plan;
    if (frozen === undefined || share?.isWhole !== true) return later;
    const ids = [...later, ...journal.unreachedAfter(frozen)];
    for (const ref of this.#ofCatalog.nodes) if (ref.stored) ids.push(ref.id);
    return ids;
  }

  #pushRoot(stored: StoredRoots, share: Share | undefined, unreached: readonly GrainId[]): void {
    const { context, journal, rootWriter } = this.#durable;
    const { nodes } = context;
    const seal = nodes.takeSeal();
    const { pending: pushed } = this.#left;
    const { written, depth, earlier, listed, changes } = journal.rootOf(
      this.#group,
      this.#plan,
      share,
    );
    // Field by field: this runs for each commit.
    const root: ForestRoot = {
      catalog: stored.catalog,
      shares: stored.shares,
      nextSeal: nodes.nextSeal,
      pending: unreached.length === 0 ? pushed : [...pushed, ...unreached],
      written,
      depth,
      earlier,
      listed,
      changes,
    };
    this.#group.pushRoot(rootWriter.encode(nodes, root, seal), seal);
  }

  *#archiveAll(): Generator<void> {
    const group = this.#group;
    // Without a step in between: no other session may claim a user's value before it is archived.
    for (const claim of group.claims) claim.abandon();
    group.takeAdopted();
    for (const id of [...group.archives]) this.#archiveUsers(id);
    const { context, journal } = this.#durable;
    for (const id of this.#left.leftOver) if (context.store.has(id)) group.archive(id);
    for (const id of journal.unreached(this.#plan).now) {
      group.archive(id);
      yield;
    }
    const { isLogged, frozen } = this.#plan;
    assert(!isLogged || frozen !== undefined || group.stored.size === 0, 'it logs or pushes nodes');
    if (isLogged) return;
    for (const id of journal.replacedRoots) group.archive(id);
    for (const { nodes, values } of [...journal.garbage, group.garbage, this.#ofCatalog]) {
      for (const ref of nodes) {
        if (ref.stored) this.#archiveNode(ref);
        yield;
      }
      for (const id of values) {
        group.archive(id);
        yield;
      }
    }
  }

  /**
   * Archives a user's value. If this group pushed it, it is withdrawn and its id can be given
   * again.
   */
  #archiveUsers(id: GrainId): void {
    this.#group.archive(id);
    if (this.#group.pushed.delete(id)) this.#group.archives.delete(id);
  }

  /**
   * Archives a node. If this group pushed it, it is withdrawn and in memory only again. Older
   * states may hold it from the time before it was pushed.
   */
  #archiveNode(ref: NodeRef): void {
    this.#group.archive(ref.id);
    if (this.#group.stored.delete(ref)) ref.unstore();
  }
}
