/**
 * Takes what is lost out of one tree: nodes that cannot be read, and entries whose long value is
 * missing.
 *
 * Invariants:
 * - A subtree without a loss stays as it is stored, with its reducer values. Only the nodes above a
 *   loss are made again, in memory; the caller stores them.
 * - Where a node is lost, leaves that nothing else reaches take its place if they are found.
 * - Trees that share a node share what replaces it.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { newEntries } from '../nodes/entries.ts';
import {
  Branch,
  emptyRoot,
  type Leaf,
  longBit,
  NodeRef,
  type TreeNode,
  type TreeRoot,
  type TreeShape,
} from '../nodes/node.ts';
import { longId, type NodeStore } from '../nodes/node-store.ts';

/** Keys from `from` (inclusive) to `to` (exclusive) of which entries are lost. */
export interface KeyRange {
  /** Undefined: from the first key on. */
  readonly from: Uint8Array | undefined;
  /** Undefined: up to the last key. */
  readonly to: Uint8Array | undefined;
}

/** Keys that were below a node that cannot be read. */
export interface LostKeys extends KeyRange {
  /** The number of entries that are lost, as the nodes above say. */
  readonly entries: number;
}

/** A node that cannot be read. */
export interface Hole extends KeyRange {
  readonly id: GrainId;
  readonly shape: TreeShape;
  /** Below 0 if it is the root of its tree: then it is not known. */
  readonly level: number;
  readonly entries: number;
}

/** A child of a branch that is being made. */
export interface Child {
  readonly ref: NodeRef;
  readonly count: number;
  readonly long: boolean;
  /** Between it and the child before. */
  readonly separator: Uint8Array | undefined;
  /** Its stored reducer value, if that still holds. */
  readonly part: Uint8Array | undefined;
}

/** A leaf that takes the place of a lost one. */
export interface FoundLeaf extends Child {
  /** The long values that it names. */
  readonly longs: readonly GrainId[];
}

export interface RepairParts {
  readonly nodes: NodeStore;
  readonly operation: RunningOperation;
  /** Leaves that may take the place of a lost node, in order. */
  leavesFor(hole: Hole): readonly FoundLeaf[];
  /**
   * Called for each reference to a stored node or long value. False if it need not be looked at:
   * another reference has led to it.
   */
  visit(id: GrainId): boolean;
  /** A stored node that is replaced. */
  replaced(id: GrainId): void;
}

/** Nodes below a branch that is made from leaves. */
const fanout = 64;
const noBytes = new Uint8Array(0);
const owner = 0;

/** The nodes that a lost or damaged node has become. */
export interface Remade {
  readonly children: readonly Child[];
  /** The keys of it that are lost. */
  readonly lost: readonly LostKeys[];
}

/** Nothing if the node stays. */
type Outcome = readonly Child[] | undefined;

export class TreeRepair {
  readonly #parts: RepairParts;
  readonly #shape: TreeShape;
  /** Nodes that are made again, also for other trees that share them. */
  readonly #made: Map<GrainId, Remade>;
  readonly lost: LostKeys[] = [];

  constructor(parts: RepairParts, shape: TreeShape, made: Map<GrainId, Remade>) {
    this.#parts = parts;
    this.#shape = shape;
    this.#made = made;
  }

  /** The tree without what is lost. Its nodes may not be stored yet. */
  async repair(root: TreeRoot): Promise<TreeRoot> {
    const { ref } = root;
    if (ref === undefined) return emptyRoot;
    const outcome = await this.#node(ref, -1, root.count, { from: undefined, to: undefined });
    if (outcome === undefined) return root;
    let children = outcome;
    while (children.length > 1) children = this.#above(children);
    const [top] = children;
    if (top === undefined) return emptyRoot;
    let { ref: made } = top;
    // The root of a tree is no branch with one child.
    for (;;) {
      const node = made.node ?? (await this.#parts.nodes.loadAsync(made, this.#shape));
      const [only, ...others] = node.leaf ? [] : node.refs;
      if (only === undefined || others.length > 0) break;
      made = only;
    }
    // Another tree that shares the root has the same one.
    this.#made.set(ref.id, { children: [{ ...top, ref: made }], lost: this.lost });
    return { ref: made, count: top.count, long: top.long };
  }

  async #node(ref: NodeRef, level: number, entries: number, keys: KeyRange): Promise<Outcome> {
    await this.#parts.operation.breathe();
    const isFirst = this.#parts.visit(ref.id);
    const known = this.#made.get(ref.id);
    if (known !== undefined) this.lost.push(...known.lost);
    if (known !== undefined || !isFirst) return known?.children;
    const lostBefore = this.lost.length;
    const outcome = await this.#outcome(ref, level, entries, keys);
    if (outcome !== undefined) {
      this.#made.set(ref.id, { children: outcome, lost: this.lost.slice(lostBefore) });
    }
    return outcome;
  }

  async #outcome(ref: NodeRef, level: number, entries: number, keys: KeyRange): Promise<Outcome> {
    let node: TreeNode;
    try {
      node = await this.#parts.nodes.loadAsync(ref, this.#shape);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT') && !isVarveError(error, 'VARVE_VAULT')) throw error;
      return this.#hole({ id: ref.id, shape: this.#shape, level, entries, ...keys });
    }
    const outcome = node.leaf ? this.#leaf(node) : await this.#branch(node, keys);
    if (outcome !== undefined) this.#parts.replaced(ref.id);
    return outcome;
  }

  /** Leaves in the place of a lost node, below as many branches as it had. */
  #hole(hole: Hole): readonly Child[] {
    const { level, entries, from, to } = hole;
    const leaves = this.#parts.leavesFor(hole);
    let found = 0;
    for (const { ref, count, longs } of leaves) {
      found += count;
      for (const id of [ref.id, ...longs]) this.#parts.visit(id);
    }
    let children: readonly Child[] = leaves;
    for (let above = 0; above < level && children.length > 0; above++) {
      children = this.#above(children);
    }
    if (found < entries) this.lost.push({ from, to, entries: entries - found });
    return children;
  }

  /** Branches over nodes of one level. */
  #above(children: readonly Child[]): Child[] {
    const above: Child[] = [];
    for (let from = 0; from < children.length; from += fanout) {
      above.push(this.#branchOver(children.slice(from, from + fanout)));
    }
    return above;
  }

  #branchOver(children: readonly Child[]): Child {
    const [first] = children as [Child];
    const level = (first.ref.node?.level ?? Math.max(0, first.ref.levelExpected)) + 1;
    const { keyBytes, memory, partBytes } = this.#shape;
    const branch = new Branch(owner, level, newEntries(keyBytes, 0, memory));
    for (const [at, { ref, count, separator, part }] of children.entries()) {
      if (at > 0) branch.separators.insert(at - 1, separator ?? noBytes, noBytes, 0);
      branch.refs.push(ref);
      branch.counts.push(count);
      if (partBytes >= 0) branch.storedParts.push(part);
    }
    for (const [at, { long }] of children.entries()) if (long) branch.setLong(at, true);
    const { separator } = first;
    const { total: count, long } = branch;
    return { ref: new NodeRef(branch), count, long, separator, part: undefined };
  }

  async #branch(branch: Branch, { from, to }: KeyRange): Promise<Outcome> {
    // Reading children may evict it.
    const { refs, counts, separators, storedParts } = branch;
    const children: Child[] = [];
    let isSame = true;
    for (const [at, ref] of refs.entries()) {
      const before = at === 0 ? undefined : separators.key(at - 1).slice();
      const next = at === refs.length - 1 ? to : separators.key(at).slice();
      const keys = { from: before ?? from, to: next };
      const count = counts[at] as number;
      const outcome = await this.#node(ref, branch.level - 1, count, keys);
      if (outcome === undefined) {
        const long = branch.isLong(at);
        children.push({ ref, count, long, separator: before, part: storedParts[at] });
        continue;
      }
      isSame = false;
      for (const [n, child] of outcome.entries()) {
        children.push({ ...child, separator: n === 0 ? before : child.separator });
      }
    }
    if (isSame) return undefined;
    return children.length === 0 ? [] : [this.#branchOver(children)];
  }

  #leaf(leaf: Leaf): Outcome {
    const { nodes } = this.#parts;
    const gone: number[] = [];
    for (let at = 0; leaf.longs > 0 && at < leaf.entries.count; at++) {
      if ((leaf.entries.word(at) & longBit) === 0) continue;
      const id = longId(leaf.entries.heap, leaf.entries.valueOffset(at));
      this.#parts.visit(id);
      if (!nodes.source.has(id)) gone.push(at);
    }
    if (gone.length === 0) return undefined;
    const copy = leaf.copy(owner);
    for (const at of gone.reverse()) {
      const from = copy.entries.key(at).slice();
      const to = new Uint8Array(from.length + 1);
      to.set(from);
      this.lost.push({ from, to, entries: 1 });
      copy.entries.remove(at);
    }
    copy.countLongs();
    if (copy.entries.count === 0) return [];
    const { total: count, long } = copy;
    return [{ ref: new NodeRef(copy), count, long, separator: undefined, part: undefined }];
  }
}
