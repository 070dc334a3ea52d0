/**
 * What one transaction does to the nodes and values of the forest, whatever the tree: what it may
 * change, what it no longer needs, what it has pushed, and who shares what.
 *
 * Invariant: `gone` has only what the states before this edit reached and nobody refers to any
 * more; nodes that this edit made and replaced itself are simply dropped. Nothing is freed or
 * written here: the group that the transaction joins does it, or nobody if the transaction fails.
 */

import type { GrainId, Session } from '../../index.ts';
import type { NodeRef, TreeNode, TreeRoot, TreeShape } from '../nodes/node.ts';
import { longBit } from '../nodes/node.ts';
import { longId, type NodeStore } from '../nodes/node-store.ts';
import { pushValue } from '../nodes/pushed-value.ts';
import { Shares } from './shares.ts';
import type { EditOwner } from './tree-editor.ts';

/** The state of the forest that edits go on from. */
export interface EditBase {
  readonly nodes: NodeStore;
  readonly sharesShape: TreeShape;
  readonly shares: TreeRoot;
  /** A number that no edit before had. */
  nextOwner(): number;
  /** The session that the next commit is made of. */
  session(): Session;
  /** The node was pushed to that session. */
  stored(ref: NodeRef): void;
}

export class Edit {
  owner: number;
  /** Nodes that were replaced or released; some may never have been stored. */
  readonly gone: NodeRef[] = [];
  /** Values of which the same holds. */
  readonly goneValues: GrainId[] = [];
  /** Everything that this edit has pushed so far, and nobody else has a use for. */
  readonly pushed: GrainId[] = [];
  /** Nodes that it has pushed, those that transactions before it have left included. */
  readonly stored: NodeRef[] = [];
  #shares: Shares | undefined;
  readonly #sharesBefore: TreeRoot;
  readonly #base: EditBase;
  readonly #firstOwner: number;
  /** Reads begun since the last freeze and still under way: they see the nodes as they are now. */
  #readers = 0;
  /** Counts freezes: a read that began before the last one has nothing to protect any more. */
  #freezes = 0;

  constructor(base: EditBase) {
    this.#base = base;
    this.owner = base.nextOwner();
    this.#firstOwner = this.owner;
    this.#sharesBefore = base.shares;
  }

  /** Who shares what; made when it is first asked for: mostly nobody shares anything. */
  get shares(): Shares {
    const edit = this;
    this.#shares ??= new Shares(this.nodes, this.#base.sharesShape, this.#sharesBefore, {
      get owner() {
        return edit.owner;
      },
      gone: (ref) => edit.#lose(ref),
    });
    return this.#shares;
  }

  get sharesRoot(): TreeRoot {
    return this.#shares?.root ?? this.#sharesBefore;
  }

  /** One referent less: false where it was the only one. */
  #unshare(id: GrainId): boolean {
    if (this.#shares === undefined && this.#sharesBefore.count === 0) return false;
    return this.shares.take(id);
  }

  get nodes(): NodeStore {
    return this.#base.nodes;
  }

  /** Nodes changed so far are not changed any more: whoever reads on sees them as they are. */
  #freeze(): void {
    this.owner = this.#base.nextOwner();
    this.#readers = 0;
    this.#freezes += 1;
  }

  /**
   * A read begins that sees the nodes as they are until the function that is returned is called,
   * once. Nodes are copied for it only if something is changed meanwhile.
   */
  beginRead(): () => void {
    const { nodes } = this;
    const freezes = this.#freezes;
    this.#readers += 1;
    nodes.holds += 1;
    return () => {
      nodes.holds -= 1;
      if (freezes === this.#freezes) this.#readers -= 1;
    };
  }

  /** Before a change: reads under way keep the nodes that they see. */
  beginChange(): void {
    if (this.#readers > 0) this.#freeze();
  }

  /** Pushes a value of the user's own, through the vault. */
  push(data: Uint8Array): GrainId {
    const id = pushValue(this.nodes, this.#base.session(), data);
    this.pushed.push(id);
    return id;
  }

  /** Pushes a value that is too long for a leaf; gives what the leaf has in its place. */
  pushLong(value: Uint8Array): Uint8Array {
    const named = this.nodes.pushLong(this.#base.session(), value);
    this.pushed.push(longId(named, 0));
    return named;
  }

  /** Stores the nodes below `root` that are not stored yet, so that they can be shared. */
  store(ref: NodeRef, shape: TreeShape): void {
    for (const one of storeNodes(this.nodes, this.#base.session(), ref, shape)) {
      this.#base.stored(one);
      this.stored.push(one);
      if (this.#made(one)) this.pushed.push(one.id);
    }
    this.#freeze();
  }

  /** The node was made by this edit: no state before it reaches it. */
  #made({ node }: NodeRef): boolean {
    return node !== undefined && node.owner >= this.#firstOwner;
  }

  /** Nobody refers to the node any more. */
  #lose(ref: NodeRef): void {
    if (ref.stored || !this.#made(ref)) this.gone.push(ref);
  }

  /** The value that these bytes name has one referent more. */
  shareLong(bytes: Uint8Array): void {
    this.shares.add(longId(bytes, 0));
  }

  releaseLong(bytes: Uint8Array): void {
    const id = longId(bytes, 0);
    if (!this.#unshare(id)) this.goneValues.push(id);
  }

  /** The same as one tree's editor needs it. */
  of(shape: TreeShape): EditOwner {
    const edit = this;
    return {
      get owner() {
        return edit.owner;
      },
      replaced: (ref, copy) => edit.#replaced(ref, copy),
      released: (ref, level, long) => edit.#released(ref, shape, level, long),
      releasedLong: (bytes) => edit.releaseLong(bytes),
    };
  }

  #replaced(ref: NodeRef, copy: TreeNode): void {
    if (!ref.stored || !this.#unshare(ref.id)) {
      this.#lose(ref);
      return;
    }
    // Others still have the node, so what is below it now has the copy as a referent too.
    if (!copy.leaf) for (const child of copy.refs) this.shares.add(child.id);
    else if (copy.longs > 0) {
      for (const bytes of longsOf(copy)) this.shareLong(bytes);
    }
  }

  #released(ref: NodeRef, shape: TreeShape, level: number, long: boolean): void {
    if (ref.stored && this.#unshare(ref.id)) return;
    this.#lose(ref);
    // A leaf without long values need not be looked at.
    if (level === 0 && !long) return;
    const node = this.nodes.load(ref, shape);
    if (node.leaf) for (const bytes of longsOf(node)) this.releaseLong(bytes);
    else {
      for (const [index, child] of node.refs.entries()) {
        this.#released(child, shape, level - 1, node.isLong(index));
      }
    }
  }
}

function* longsOf({ entries }: TreeNode & { leaf: true }): Generator<Uint8Array> {
  for (let index = 0; index < entries.count; index++) {
    if ((entries.word(index) & longBit) !== 0) yield entries.value(index);
  }
}

/** Pushes the nodes from `ref` on that are not stored yet, what is below first; gives each. */
export function* storeNodes(
  nodes: NodeStore,
  session: Session,
  ref: NodeRef,
  shape: TreeShape,
): Generator<NodeRef> {
  if (ref.stored) return;
  const node = ref.node as TreeNode;
  if (!node.leaf) for (const child of node.refs) yield* storeNodes(nodes, session, child, shape);
  nodes.push(session, ref, shape);
  yield ref;
}
