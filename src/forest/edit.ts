/**
 * What one transaction does to the nodes and values of the forest, whatever the tree: what it may
 * change, what it no longer needs, what it has pushed, and who shares what.
 *
 * Invariant: only what nobody refers to any more is in `gone`. Nothing is freed or written here:
 * the group that the transaction joins does it, or nobody where the transaction fails.
 */

import type { GrainId, Session } from '../index.ts';
import type { NodeRef, TreeNode, TreeRoot, TreeShape } from './node.ts';
import { longBit } from './node.ts';
import { longId, type NodeStore } from './node-store.ts';
import { pushValue } from './pushed-value.ts';
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
      gone: (ref) => edit.gone.push(ref),
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
  freeze(): void {
    this.owner = this.#base.nextOwner();
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
    storeNodes(this.nodes, this.#base.session(), { ref, shape }, (one) => {
      this.#base.stored(one);
      this.stored.push(one);
      if ((one.node as TreeNode).owner >= this.#firstOwner) this.pushed.push(one.id);
    });
    this.freeze();
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
      this.gone.push(ref);
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
    this.gone.push(ref);
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

/** Pushes the nodes from `ref` on that are not stored yet, what is below first; tells of each. */
export function storeNodes(
  nodes: NodeStore,
  session: Session,
  { ref: top, shape }: { readonly ref: NodeRef; readonly shape: TreeShape },
  tell: (ref: NodeRef) => void,
): void {
  const visit = (one: NodeRef): void => {
    if (one.stored) return;
    const node = one.node as TreeNode;
    if (!node.leaf) for (const child of node.refs) visit(child);
    nodes.push(session, one, shape);
    tell(one);
  };
  visit(top);
}
