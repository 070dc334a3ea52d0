/**
 * Stores nodes and long values of one tree anew, from a key on and for as long as it may: those in
 * thin grain maps, and leaves that fill fewer nodes if they are packed.
 *
 * Invariants:
 * - The tree has the same entries before and after, with the same reducer values.
 * - What trees share they share afterwards too: a node that another tree has been given a twin for
 *   is replaced by that twin (`Twins`).
 * - The path to a node is copied from the root down before anything below it changes, as in
 *   `TreeEditor`.
 *
 * It commits nothing, and ends at a key from which a later edit can go on, also within a leaf: its
 * long values may be large.
 */

import type { GrainId } from '../../index.ts';
import { checks, present } from '../../util/assert.ts';
import { compareBytes } from '../../util/bytes.ts';
import {
  type Branch,
  type Leaf,
  longBit,
  NodeRef,
  type TreeNode,
  type TreeRoot,
  type TreeShape,
} from '../nodes/node.ts';
import { checkNode } from '../nodes/node-check.ts';
import { longId } from '../nodes/node-store.ts';
import type { EditedTree } from '../trees/tree-editor.ts';
import { packLeaves, runToPack } from './leaf-packing.ts';
import type { PassedNode, Twins } from './twins.ts';

/** An edit of trees that may share nodes and values. The forest's own trees share nothing. */
export interface SharingEdit {
  /** Referents beyond the first. */
  extra(id: GrainId): number;
  share(id: GrainId): void;
  pushLong(value: Uint8Array): Uint8Array;
  /** Pushes the nodes from `ref` down that are not stored yet. */
  store(ref: NodeRef, shape: TreeShape): void;
}

/** The choice of nodes and values that are stored anew. */
export interface RewritePlan {
  /** The node or long value lies in a thin map; called once for each that the walk comes to. */
  isThin(id: GrainId): boolean;
  /** Leaves are packed. Then nothing is thin: a leaf with a twin would become a part of another. */
  readonly packs: boolean;
  /** Also those of branches that trees share: all of these trees can be packed. */
  readonly packsShared: boolean;
  /** It is time to end. */
  isDue(): boolean;
  /** A node or value of this size was stored anew. */
  rewrote(bytes: number): void;
}

export interface RewrittenTree extends EditedTree {
  readonly sharing: SharingEdit | undefined;
}

/** A node on the path, as the tree has it now. */
interface Frame extends PassedNode {
  ref: NodeRef;
  node: TreeNode;
  /** The child that the walk is at. */
  at: number;
  /** The walk came to it in an earlier edit: others may have changed it since. */
  readonly isResumed: boolean;
}

export class TreeRewriter {
  readonly #tree: RewrittenTree;
  readonly #plan: RewritePlan;
  readonly #twins: Twins;
  #ref: NodeRef | undefined;
  readonly #path: Frame[] = [];
  /** Shared nodes with what replaces them, which may not be stored yet. */
  readonly #found: { readonly old: GrainId; readonly ref: NodeRef }[] = [];
  #end: Uint8Array | undefined;

  constructor(tree: RewrittenTree, plan: RewritePlan, twins: Twins) {
    this.#tree = tree;
    this.#plan = plan;
    this.#twins = twins;
    this.#ref = tree.root.ref;
  }

  get root(): TreeRoot {
    const { count, long } = this.#tree.root;
    return { ref: this.#ref, count, long };
  }

  /** Returns the key to go on from; undefined at the end of the tree. */
  run(from: Uint8Array | undefined): Uint8Array | undefined {
    if (this.#ref === undefined) return undefined;
    this.#end = undefined;
    this.#visit(this.#ref, from, this.#tree.root.long);
    this.#storeFound();
    if (this.#end === undefined) this.#twins.forgetPassed();
    return this.#end;
  }

  // ── walking ──

  /** Walks through a node and all below it, from the key on. `long`: some value may be long. */
  #visit(ref: NodeRef, from: Uint8Array | undefined, long: boolean): void {
    const level = this.#levelOf(ref);
    const passed = from === undefined ? undefined : this.#twins.passed(level);
    const id = ref.stored && passed === undefined ? ref.id : undefined;
    if (id !== undefined && this.#isDone(ref, id, level)) return;
    const isThin = id !== undefined && this.#plan.isThin(id);
    // A leaf without long values need not be read.
    if (level === 0 && !isThin && !long) return;
    const node = this.#load(ref);
    this.#path.push(this.#frame(ref, node, passed));
    if (isThin) this.#ownPath();
    if (node.leaf) this.#rewriteLongs(from);
    else this.#visitChildren(node, from);
    if (this.#end === undefined) this.#finish();
    this.#path.pop();
  }

  #load(ref: NodeRef): TreeNode {
    return this.#tree.nodes.load(ref, this.#tree.shape);
  }

  #levelOf(ref: NodeRef): number {
    const parent = this.#path.at(-1);
    return parent === undefined ? this.#load(ref).level : parent.node.level - 1;
  }

  /** Nothing has to be done for the node, or its twin has taken its place. */
  #isDone(ref: NodeRef, id: GrainId, level: number): boolean {
    if (this.#twins.isClean(id)) return true;
    // Above, the twin is taken at the end (`#finish`): a step releases the nodes of one branch.
    const twin = level > 1 ? undefined : this.#twins.node(id);
    if (twin === undefined) return false;
    // The twin of a root may be lower than the root was.
    if (this.#path.length > 0 && this.#load(twin).level !== level) return false;
    this.#replace(this.#path.length, ref, twin);
    return true;
  }

  #frame(ref: NodeRef, node: TreeNode, passed: PassedNode | undefined): Frame {
    if (passed !== undefined) return { ...passed, ref, node, at: 0, isResumed: true };
    const first = ref.stored ? ref : undefined;
    const isShared = first !== undefined && (this.#isInShared || this.#extra(first.id) > 0);
    // Known before its last tree drops the node.
    const twin = first && this.#twins.node(first.id);
    return { ref, node, at: 0, first, isShared, twin, isResumed: false };
  }

  /** The node above is shared, and this edit has not copied it: all below it is shared too. */
  get #isInShared(): boolean {
    const above = this.#path.at(-1);
    return above?.isShared === true && isFirst(above);
  }

  #extra(id: GrainId): number {
    return this.#tree.sharing?.extra(id) ?? 0;
  }

  #visitChildren(branch: Branch, from: Uint8Array | undefined): void {
    const frame = this.#top;
    const start = from === undefined ? 0 : branch.childOf(from);
    if (branch.level === 1 && this.#plan.packs) {
      this.#pack(start);
      return;
    }
    for (let at = start; at < branch.refs.length; at++) {
      if (at > start && this.#plan.isDue()) {
        this.#endBefore(at);
        return;
      }
      frame.at = at;
      const now = frame.node as Branch;
      this.#visit(now.refs[at] as NodeRef, at === start ? from : undefined, now.isLong(at));
      if (this.#end !== undefined) return;
    }
  }

  get #top(): Frame {
    return present(this.#path.at(-1), 'a node of the path');
  }

  /** The walk ends before this child of the last branch of the path. */
  #endBefore(child: number): void {
    this.#endAt((this.#top.node as Branch).separators.key(child - 1));
  }

  /** The walk ends before this key, which lies below the last node of the path. */
  #endAt(key: Uint8Array): void {
    this.#end = key.slice();
    this.#twins.forgetPassed();
    for (const { node, first, isShared, twin } of this.#path) {
      this.#twins.setPassed(node.level, { first, isShared, twin });
    }
  }

  // ── changing ──

  /** Makes copies of the nodes of the path that are not this edit's own, from the root down. */
  #ownPath(): void {
    for (let depth = 0; depth < this.#path.length; depth++) {
      const frame = this.#path[depth] as Frame;
      const own = this.#own(frame.ref, frame.node);
      if (own === frame.ref) continue;
      frame.ref = own;
      frame.node = own.node as TreeNode;
      this.#setRef(depth, own);
    }
  }

  /** The reference itself if its node may be changed, otherwise one to a copy of the node. */
  #own(ref: NodeRef, node: TreeNode): NodeRef {
    const { owner } = this.#tree;
    if (node.owner === owner.owner) return ref;
    const copy = node.copy(owner.owner);
    owner.replaced(ref, copy);
    this.#plan.rewrote(copy.size(this.#tree.shape));
    return new NodeRef(copy);
  }

  #setRef(depth: number, ref: NodeRef): void {
    if (depth === 0) {
      this.#ref = ref;
      return;
    }
    const { node, at } = this.#path[depth - 1] as Frame;
    (node as Branch).refs[at] = ref;
  }

  /** Takes the twin instead of the node of `ref`, which is at this depth. */
  #replace(depth: number, ref: NodeRef, twin: NodeRef): void {
    const level =
      depth === 0 ? this.#load(ref).level : (this.#path[depth - 1] as Frame).node.level - 1;
    this.#ownPath();
    const parent = depth === 0 ? undefined : (this.#path[depth - 1] as Frame);
    const long =
      parent === undefined ? this.#tree.root.long : (parent.node as Branch).isLong(parent.at);
    this.#sharing.share(twin.id);
    this.#setRef(depth, twin);
    this.#tree.owner.released(ref, level, long);
  }

  /**
   * Packs the leaves of the last branch of the path, from this child on, that no other tree refers
   * to. Those of a shared branch are packed in one go: a part of them is the twin of nothing.
   */
  #pack(start: number): void {
    const frame = this.#top;
    const { isShared } = frame;
    const { shape, nodes } = this.#tree;
    if (isShared && !this.#plan.packsShared) return;
    const isAlone = ({ stored, id }: NodeRef): boolean => {
      // The copy of a shared branch is one more referent of its leaves.
      const isOwn = frame.node.owner === this.#tree.owner.owner;
      return !stored || this.#extra(id) <= (isOwn && isShared ? 1 : 0);
    };
    const own = (ref: NodeRef) => this.#own(ref, this.#load(ref));
    const isDue = () => !isShared && this.#plan.isDue();
    for (let at = start; ; ) {
      const run = runToPack(frame.node as Branch, at, { shape, nodes, isAlone });
      if (run === undefined) return;
      this.#ownPath();
      at = packLeaves(frame.node as Branch, run, shape, { own, isDue });
      this.#packed(frame);
      if (frame.node.leaf) return;
      if (at < frame.node.refs.length && isDue()) {
        this.#endBefore(at);
        return;
      }
    }
  }

  /** Some leaves of the branch have been packed. */
  #packed(frame: Frame): void {
    // The branches above keep theirs, so a summary of the tree would stop there.
    this.#tree.summarize(frame.ref);
    if (checks.strict) checkNode(frame.node);
    const [child, ...others] = (frame.node as Branch).refs;
    if (this.#path.length > 1 || child === undefined || others.length > 0) return;
    // A root that has one child is replaced by that child.
    frame.ref = child;
    frame.node = this.#load(child);
    this.#ref = child;
  }

  #rewriteLongs(from: Uint8Array | undefined): void {
    const { node, isShared, twin } = this.#top;
    if (!node.leaf || node.longs === 0) return;
    const { count } = node.entries;
    // Other trees take a shared leaf's twin as a whole, and leaves are packed as a whole.
    const mayEnd = !isShared && twin === undefined && !this.#plan.packs;
    const found = from === undefined ? 0 : node.entries.search(from);
    let index = found < 0 ? ~found : found;
    while (index < count) {
      const isWork = this.#rewriteLong(index);
      index += 1;
      if (!isWork || !mayEnd || index === count || !this.#plan.isDue()) continue;
      this.#endAt((this.#top.node as Leaf).entries.key(index));
      return;
    }
  }

  /** False if there was nothing to do. */
  #rewriteLong(index: number): boolean {
    const { entries } = this.#top.node as Leaf;
    const word = entries.word(index);
    if ((word & longBit) === 0) return false;
    const before = entries.value(index).slice();
    const id = longId(before, 0);
    const twin = this.#twins.long(id);
    if (twin === undefined && !this.#plan.isThin(id)) return false;
    this.#ownPath();
    const named = twin === undefined ? this.#copyLong(before, id) : this.#shareLong(twin);
    (this.#top.node as Leaf).entries.replace(index, named, word);
    this.#tree.owner.releasedLong(before);
    return true;
  }

  get #sharing(): SharingEdit {
    return present(this.#tree.sharing, 'the edit of a tree that may share nodes');
  }

  #copyLong(before: Uint8Array, id: GrainId): Uint8Array {
    const value = this.#tree.nodes.long(before, 0);
    const named = this.#sharing.pushLong(value);
    this.#plan.rewrote(value.length);
    if (this.#extra(id) > 0) this.#twins.addLong(id, named);
    return named;
  }

  #shareLong(named: Uint8Array): Uint8Array {
    this.#sharing.share(longId(named, 0));
    return named;
  }

  // ── twins ──

  /** All below the last node of the path has been done. */
  #finish(): void {
    const frame = this.#top;
    const { first, isShared, isResumed, twin } = frame;
    if (this.#tree.sharing === undefined) return;
    if (twin !== undefined && this.#twins.has(twin)) this.#joinTwin(twin);
    else if (first === undefined) return;
    else if (isFirst(frame)) {
      if (isShared && !isResumed) this.#twins.addClean(first.id);
    } else if (isShared && (!isResumed || this.#isTwin(first))) {
      this.#found.push({ old: first.id, ref: frame.ref });
    }
  }

  /** Takes the twin instead of a copy that is the same. */
  #joinTwin(twin: NodeRef): void {
    const frame = this.#top;
    if (frame.ref.stored && frame.ref.id === twin.id) return;
    if (!isSame(frame.node, this.#load(twin), (id) => id)) return;
    const depth = this.#path.length - 1;
    this.#path.pop();
    this.#replace(depth, frame.ref, twin);
    this.#path.push({ ...frame, ref: twin });
  }

  /** The last node of the path has what this one had: others have changed nothing meanwhile. */
  #isTwin(first: NodeRef): boolean {
    this.#storeFound();
    return isSame(this.#top.node, this.#load(first), (id) => this.#twins.node(id)?.id ?? id);
  }

  /** Stores the new nodes, so that other trees can share them. */
  #storeFound(): void {
    for (const { old, ref } of this.#found) {
      this.#sharing.store(ref, this.#tree.shape);
      this.#twins.addNode(old, ref);
    }
    this.#found.length = 0;
  }
}

/** The tree still has the node that the walk came to first. */
function isFirst({ ref, first }: Frame): boolean {
  return first !== undefined && ref.stored && ref.id === first.id;
}

/** The branch has the separators of `old`, and the children that `now` gives for its children. */
function isSame(node: TreeNode, old: TreeNode, now: (id: GrainId) => GrainId): boolean {
  if (node.leaf || old.leaf || node.level !== old.level) return false;
  if (node.refs.length !== old.refs.length) return false;
  for (const [at, ref] of node.refs.entries()) {
    const before = old.refs[at] as NodeRef;
    if (!ref.stored || !before.stored || ref.id !== now(before.id)) return false;
    if (at === 0) continue;
    const own = node.separators.key(at - 1);
    if (compareBytes(own, old.separators.key(at - 1)) !== 0) return false;
  }
  return true;
}
