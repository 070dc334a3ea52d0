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
import type { RootPlan } from '../journal/journal.ts';
import type { NodeRef, TreeRoot, TreeShape } from '../nodes/node.ts';
import { nameKey } from '../trees/catalog.ts';
import { storeNodes } from '../trees/edit.ts';
import { TreeEditor, unsharedEdit } from '../trees/tree-editor.ts';
import { encodeRecord, historyShapeOf, shapeOf, type TreeRecord } from '../trees/tree-record.ts';
import type { DurableState } from './durable-state.ts';
import type { VersionRoots } from './forest-version.ts';
import type { Group } from './group.ts';

/** The state that a group leaves, beside its trees. */
export interface LeftState {
  readonly shares: TreeRoot;
  /** Values that the running transaction has pushed. */
  readonly pending: readonly GrainId[];
  /** Values of failed transactions that may be in the file. */
  readonly leftOver: readonly GrainId[];
}

export class CommitPreparation {
  readonly #durable: DurableState;
  readonly #group: Group;
  readonly #plan: RootPlan;
  readonly #left: LeftState;

  constructor(durable: DurableState, group: Group, plan: RootPlan, left: LeftState) {
    this.#durable = durable;
    this.#group = group;
    this.#plan = plan;
    this.#left = left;
  }

  /** Returns the roots that are current once the commit is durable. */
  *steps(): Generator<void, VersionRoots> {
    const { shares, pending } = this.#left;
    const { stored } = this.#durable.journal;
    const next = this.#plan.isLogged ? stored : { catalog: yield* this.#storeAll(), shares };
    this.#pushRoot({ ...next, pending });
    yield* this.#archiveAll();
    return { catalog: next.catalog, shares, pending };
  }

  /** Pushes all nodes that are not stored, also those of earlier groups. Returns the catalog. */
  *#storeAll(): Generator<void, TreeRoot> {
    const { journal, version, context } = this.#durable;
    const { shares } = this.#left;
    const records = new Map<string, TreeRecord | undefined>();
    for (const name of journal.trees) records.set(name, version.record(name));
    for (const [name, changed] of this.#group.changed) records.set(name, changed);
    for (const one of records.values()) if (one !== undefined) yield* this.#storeTree(one);
    const catalog = this.#changeCatalog(journal.stored.catalog, records);
    yield* this.#store(catalog.ref, context.catalogShape);
    yield* this.#store(shares.ref, context.sharesShape);
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
    const edit = unsharedEdit({ owner }, (ref) => this.#group.garbage.addNode(ref));
    const catalog = new TreeEditor(context.nodes, context.catalogShape, before, edit);
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

  #pushRoot(roots: VersionRoots): void {
    const { context, rootWriter } = this.#durable;
    const { nodes } = context;
    const { depth, earlier, changes } = this.#plan;
    const seal = nodes.takeSeal();
    const { nextSeal } = nodes;
    const root: ForestRoot = { ...roots, nextSeal, depth, earlier, changes };
    this.#group.pushRoot(rootWriter.encode(nodes, root, seal), seal);
  }

  *#archiveAll(): Generator<void> {
    const group = this.#group;
    // Without a step in between: no other session may claim a user's value before it is archived.
    for (const claim of group.claims) claim.abandon();
    for (const id of [...group.archives]) this.#archiveUsers(id);
    const { context, journal } = this.#durable;
    for (const id of this.#left.leftOver) if (context.store.has(id)) group.archive(id);
    assert(!this.#plan.isLogged || group.stored.size === 0, 'a commit logs or pushes nodes');
    if (this.#plan.isLogged) return;
    for (const id of journal.replacedRoots) group.archive(id);
    for (const { nodes, values } of [journal.garbage, group.garbage]) {
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
