/**
 * The changes of one transaction to nodes and values, in all trees. It knows which nodes it may
 * change or has replaced, what it pushed, and the shares.
 *
 * Invariant: its garbage has only what earlier states reached and no tree refers to any more. Nodes
 * that this edit made and replaced itself are simply dropped. It archives and commits nothing: the
 * group that the transaction joins does.
 */

import type { GrainId, Session } from '../../index.ts';
import { assert, present } from '../../util/assert.ts';
import type { Branch, NodeRef, TreeNode, TreeRoot, TreeShape } from '../nodes/node.ts';
import { longBit } from '../nodes/node.ts';
import { longId, type NodeStore } from '../nodes/node-store.ts';
import { pushValue } from '../nodes/pushed-value.ts';
import type { ForestContext } from './forest-context.ts';
import { Garbage } from './garbage.ts';
import { Shares } from './shares.ts';
import { type EditOwner, unsharedEdit } from './tree-editor.ts';

type EditContext = Pick<ForestContext, 'nodes' | 'sharesShape' | 'nextOwner' | 'losses'>;

/** The state that an edit starts from, and the destination of its pushes. */
export interface EditStart {
  readonly shares: TreeRoot;
  /** The session of the next commit. */
  session(): Session;
  /** Called when the node was pushed to that session. */
  stored(ref: NodeRef): void;
}

export class Edit {
  owner: number;
  readonly garbage = new Garbage();
  /** Everything that this edit has pushed and that only this edit uses. */
  readonly pushed: GrainId[] = [];
  /** Nodes that it has pushed, also nodes that earlier transactions made. */
  readonly stored: NodeRef[] = [];
  #shares: Shares | undefined;
  readonly #sharesBefore: TreeRoot;
  readonly #context: EditContext;
  readonly #start: EditStart;
  readonly #firstOwner: number;
  /** Reads in progress that began since the last freeze: they see the nodes as they are now. */
  #readers = 0;
  /** Number of freezes. A read that began before the last one needs no more protection. */
  #freezes = 0;

  constructor(context: EditContext, start: EditStart) {
    this.#context = context;
    this.#start = start;
    this.owner = context.nextOwner();
    this.#firstOwner = this.owner;
    this.#sharesBefore = start.shares;
  }

  /** The tree of shares, opened on first use: mostly nothing is shared. */
  get shares(): Shares {
    const { nodes, sharesShape } = this.#context;
    const edit = unsharedEdit(this, (ref) => this.#lose(ref));
    this.#shares ??= new Shares(nodes, sharesShape, this.#sharesBefore, edit);
    return this.#shares;
  }

  get sharesRoot(): TreeRoot {
    return this.#shares?.root ?? this.#sharesBefore;
  }

  /** Referents of a stored node or long value, beyond the first. */
  extra(id: GrainId): number {
    return this.#hasShares ? this.shares.extra(id) : 0;
  }

  /** Adds a referent to a stored node or long value. */
  share(id: GrainId): void {
    this.shares.add(id);
  }

  get #hasShares(): boolean {
    return this.#shares !== undefined || this.#sharesBefore.count > 0;
  }

  /** Removes a referent. False if it was the only one. */
  #unshare(id: GrainId): boolean {
    return this.#hasShares && this.shares.take(id);
  }

  get nodes(): NodeStore {
    return this.#context.nodes;
  }

  /**
   * Takes a new owner number: nodes changed so far are not changed again, and readers keep them.
   */
  #freeze(): void {
    this.owner = this.#context.nextOwner();
    this.#readers = 0;
    this.#freezes += 1;
  }

  /**
   * Begins a read that sees the nodes as they are now. The read ends when the returned function is
   * called, once. Nodes are copied for it only if something is changed meanwhile.
   */
  beginRead(): () => void {
    const { nodes } = this;
    const freezes = this.#freezes;
    this.#readers += 1;
    const letGo = nodes.hold();
    return () => {
      letGo();
      if (freezes === this.#freezes) this.#readers -= 1;
      assert(this.#readers >= 0, 'a read ends once');
    };
  }

  /** Must be called before a change: reads in progress keep the nodes that they see. */
  beginChange(): void {
    if (this.#readers > 0) this.#freeze();
  }

  /** Pushes a user value, through the vault. */
  push(data: Uint8Array): GrainId {
    const id = pushValue(this.nodes, this.#start.session(), data);
    this.pushed.push(id);
    return id;
  }

  /**
   * Pushes a value that is too long for a leaf; returns the reference that the leaf has instead.
   */
  pushLong(value: Uint8Array): Uint8Array {
    const named = this.nodes.pushLong(this.#start.session(), value);
    this.pushed.push(longId(named, 0));
    return named;
  }

  /** Pushes the nodes from `ref` down that are not stored yet, so that they can be shared. */
  store(ref: NodeRef, shape: TreeShape): void {
    for (const one of storeNodes(this.nodes, this.#start.session(), ref, shape)) {
      this.#start.stored(one);
      this.stored.push(one);
      if (this.#made(one)) this.pushed.push(one.id);
    }
    this.#freeze();
  }

  /** This edit made the node: no earlier state reaches it. */
  #made({ node }: NodeRef): boolean {
    return node !== undefined && node.owner >= this.#firstOwner;
  }

  /** No tree refers to the node any more. */
  #lose(ref: NodeRef): void {
    this.#context.losses.ofNode(ref);
    if (ref.stored || !this.#made(ref)) this.garbage.addNode(ref);
  }

  /** Adds a referent to the value that these bytes name. */
  shareLong(bytes: Uint8Array): void {
    this.shares.add(longId(bytes, 0));
  }

  releaseLong(bytes: Uint8Array): void {
    const id = longId(bytes, 0);
    if (this.#unshare(id)) return;
    this.#context.losses.ofValue(id);
    this.garbage.addValue(id);
  }

  /** The edit as the editor of one tree needs it. */
  of(shape: TreeShape): EditOwner {
    return new TreeEdit(this, shape);
  }

  replaced(ref: NodeRef, copy: TreeNode): void {
    if (!ref.stored || !this.#unshare(ref.id)) {
      this.#lose(ref);
      return;
    }
    // Another tree still has the node: the copy is one more referent of what is directly below it.
    if (!copy.leaf) for (const child of copy.refs) this.shares.add(child.id);
    else if (copy.longs > 0) {
      for (const bytes of longsOf(copy)) this.shareLong(bytes);
    }
  }

  released(ref: NodeRef, shape: TreeShape, level: number, long: boolean): void {
    if (ref.stored && this.#unshare(ref.id)) return;
    this.#lose(ref);
    // A leaf without long values need not be read.
    if (level === 0 && !long) return;
    const node = this.nodes.load(ref, shape);
    assert(node.level === level, 'a released node has the level that its branch says');
    if (node.leaf) for (const bytes of longsOf(node)) this.releaseLong(bytes);
    else {
      for (const [index, child] of node.refs.entries()) {
        this.released(child, shape, level - 1, node.isLong(index));
      }
    }
  }
}

class TreeEdit implements EditOwner {
  readonly #edit: Edit;
  readonly #shape: TreeShape;

  constructor(edit: Edit, shape: TreeShape) {
    this.#edit = edit;
    this.#shape = shape;
  }

  get owner(): number {
    return this.#edit.owner;
  }

  replaced(ref: NodeRef, copy: TreeNode): void {
    this.#edit.replaced(ref, copy);
  }

  released(ref: NodeRef, level: number, long: boolean): void {
    this.#edit.released(ref, this.#shape, level, long);
  }

  releasedLong(bytes: Uint8Array): void {
    this.#edit.releaseLong(bytes);
  }
}

function* longsOf({ entries }: TreeNode & { leaf: true }): Generator<Uint8Array> {
  for (let index = 0; index < entries.count; index++) {
    if ((entries.word(index) & longBit) !== 0) yield entries.value(index);
  }
}

/** Pushes the nodes from `ref` down that are not stored yet, children first; yields each. */
export function* storeNodes(
  nodes: NodeStore,
  session: Session,
  ref: NodeRef,
  shape: TreeShape,
): Generator<NodeRef> {
  if (ref.stored) return;
  const node = present(ref.node, 'a node that is not stored');
  if (!node.leaf) yield* storeBelow(nodes, session, node, shape);
  yield pushed(nodes, session, ref, shape);
}

function* storeBelow(
  nodes: NodeStore,
  session: Session,
  { refs }: Branch,
  shape: TreeShape,
): Generator<NodeRef> {
  for (const ref of refs) {
    // Most children are stored already, or leaves: each is one step of a loop.
    if (ref.stored) continue;
    if (ref.node?.leaf === true) yield pushed(nodes, session, ref, shape);
    else yield* storeNodes(nodes, session, ref, shape);
  }
}

function pushed(nodes: NodeStore, session: Session, ref: NodeRef, shape: TreeShape): NodeRef {
  nodes.push(session, ref, shape);
  assert(ref.stored, 'a pushed node has an id');
  return ref;
}
